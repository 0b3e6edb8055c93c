"""The rehearsal's ministries: how each behaves, and how its answers must be found filed. Pure."""

import re
from dataclasses import dataclass
from enum import Enum

from campaign.rehearsal import replies
from campaign.rehearsal.replies import Maker

ADDRESS = re.compile(r"@mfa\.([a-z]{2})\.example$", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """One mail that a ministry sends back: how it is made, what it must be read as, how it must be filed."""

    make: Maker
    kind: str
    method: str


class Behaviour(Enum):
    """What a ministry does with a letter: in words, and the answers it gives."""

    ACKNOWLEDGES = (
        "acknowledges automatically, to the envelope sender",
        (Answer(replies.acknowledgement, "auto_reply", "bounce"),),
    )
    RESPONDS = (
        "acknowledges automatically, to the reply address",
        (Answer(replies.autoresponse, "auto_reply", "token"),),
    )
    ANSWERS = (
        "answers with a form letter",
        (Answer(replies.form_letter, "human_reply", "token"),),
    )
    DOES_BOTH = (
        "acknowledges automatically, then answers",
        (
            Answer(replies.acknowledgement, "auto_reply", "bounce"),
            Answer(replies.form_letter, "human_reply", "token"),
        ),
    )
    MOVED = (
        "answers from another address, to the campaign's plain one",
        (Answer(replies.from_elsewhere, "human_reply", "thread"),),
    )
    MISTYPES = (
        "answers to a mistyped address, quoting the reference",
        (Answer(replies.retyped, "human_reply", "reference"),),
    )
    BOUNCES = (
        "accepts, then reports that the mailbox does not exist",
        (Answer(replies.unknown_mailbox, "bounce_hard", "bounce"),),
    )
    IS_FULL = (
        "accepts, then reports a full mailbox",
        (Answer(replies.full_mailbox, "bounce_soft", "bounce"),),
    )
    IS_SLOW = (
        "accepts, then reports a full mailbox that is tried again",
        (Answer(replies.delayed, "bounce_soft", "bounce"),),
    )
    REFUSES = ("refuses the mailbox at once", ())
    IS_SILENT = ("is silent", ())

    def __init__(self, words: str, answers: tuple[Answer, ...]) -> None:
        self.words = words
        self.answers = answers


MINISTRIES: dict[str, Behaviour] = {
    "FR": Behaviour.DOES_BOTH,
    "GB": Behaviour.ACKNOWLEDGES,
    "SN": Behaviour.ACKNOWLEDGES,
    "MX": Behaviour.RESPONDS,
    "JM": Behaviour.RESPONDS,
    "BE": Behaviour.ANSWERS,
    "IE": Behaviour.ANSWERS,
    "ES": Behaviour.ANSWERS,
    "LU": Behaviour.MOVED,
    "CO": Behaviour.MOVED,
    "UY": Behaviour.MISTYPES,
    "IN": Behaviour.MISTYPES,
    "CI": Behaviour.BOUNCES,
    "NZ": Behaviour.BOUNCES,
    "CL": Behaviour.IS_FULL,
    "KE": Behaviour.IS_SLOW,
    "AR": Behaviour.REFUSES,
    "CA": Behaviour.REFUSES,
    "AU": Behaviour.IS_SILENT,
    "PE": Behaviour.IS_SILENT,
}


def address_of(country: str) -> str:
    """The address of a country's rehearsal ministry."""
    return f"cabinet@mfa.{country.lower()}.example"


def country_of(address: str) -> str:
    """The country whose rehearsal ministry has an address, or "" when none has."""
    found = ADDRESS.search(address)
    return found[1].upper() if found else ""


def behaviour_of(address: str) -> Behaviour | None:
    """How the ministry at an address behaves (one not in the table answers), None when it is no ministry."""
    country = country_of(address)
    return MINISTRIES.get(country, Behaviour.ANSWERS) if country else None


def final_state(country: str) -> str:
    """The state in which a letter to a country's ministry must end, by the table."""
    if country not in MINISTRIES:
        return "held"  # no address of it is known
    return "failed" if MINISTRIES[country] is Behaviour.REFUSES else "accepted"
