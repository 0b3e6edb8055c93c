"""What in a message tells which letter it belongs to, surest first. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from letters.rules import tokens
from letters.rules.reading import Read


class Clue(StrEnum):
    """How a message points at a letter, surest first."""

    BOUNCE = "bounce"
    TOKEN = "token"  # noqa: S105  a method's name
    THREAD = "thread"
    REFERENCE = "reference"


CONFIDENCE = {Clue.BOUNCE: 100, Clue.TOKEN: 95, Clue.THREAD: 90, Clue.REFERENCE: 60}


@dataclass(frozen=True)
class Pointer:
    """One clue: its value (a token, a delivery's number, a Message-ID, a reference) and where it stood."""

    clue: Clue
    value: str
    where: str


def pointers(mail: Read, *, envelope_to: list[str], domain: str, key: bytes) -> list[Pointer]:
    """All clues of a message, surest first: bounce address, reply token, thread, quoted reference.

    `domain` is ours; `key` tells genuine bounce addresses from forged ones.
    """
    found: list[Pointer] = []
    places = [(a, "the envelope recipient") for a in envelope_to] + [
        (a, "a recipient header") for a in mail.recipients
    ]
    for address, where in places:
        if (number := tokens.delivery_in(address, key, domain)) is not None:
            found.append(Pointer(Clue.BOUNCE, str(number), f"{where} is our message's own bounce address"))
        elif token := tokens.reply_token_in(address, domain):
            found.append(Pointer(Clue.TOKEN, token, f"{where} is the letter's reply address"))
    for message_id in mail.references:
        found.append(Pointer(Clue.THREAD, message_id, "In-Reply-To or References names our message"))
    for message_id in mail.inner_references:
        found.append(Pointer(Clue.THREAD, message_id, "the attached message is ours"))
    for reference in tokens.references_in(f"{mail.subject}\n{mail.text}"):
        found.append(Pointer(Clue.REFERENCE, reference, f"it quotes {reference}"))
    return sorted(dict.fromkeys(found), key=lambda pointer: list(Clue).index(pointer.clue))
