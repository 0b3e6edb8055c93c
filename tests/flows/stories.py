"""What the stories of the flows have in common: a campaign that runs, and the verdict at the end."""

import copy
import itertools
import secrets
import time
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from contacts.addresses import address_key
from contacts.models import Consent, Supporter
from letters import lifecycle
from letters.models import Campaign, Delivery, Letter
from letters.models.campaign import Tally
from letters.rules import tokens
from letters.rules.ledger import State
from tests import builders
from tests.judge import judge
from tests.relay import Relay

TEN = ("FR", "BE", "ES", "KE", "CA", "IE", "AR", "CI", "SN", "MX")
FORTY = (
    *TEN, "DE", "IT", "PT", "NL", "AT", "CH", "SE", "NO", "FI", "DK", "PL", "CZ", "GR", "RO", "BG", "HR",
    "EE", "LV", "LT", "UA", "TR", "EG", "MA", "TN", "GH", "NG", "ZA", "BR", "CL", "PE",
)  # fmt: skip
_people = itertools.count(1)


def campaign_with(letters: int, *, slug: str = "peace", countries: tuple[str, ...] = TEN) -> Campaign:
    """A campaign with so many confirmed letters, in turns to some States’ ministries, each at its domain.

    One letter to each is written as people do; the others are its copies under other names.
    """
    campaign = builders.open_campaign(slug, per_office_hour=10_000_000)
    for country in countries:
        builders.office(country)
    with transaction.atomic():  # no worker sees their confirmation mails, which are not the subject
        originals = [builders.confirmed(campaign, country=country) for country in countries[:letters]]
        Delivery.objects.filter(campaign=campaign).delete()
    _copies(originals, letters - len(originals))
    return campaign


def launched(letters: int, **more: object) -> Campaign:
    """The same, sending: all its letters, not a canary alone."""
    campaign = campaign_with(letters, **more)  # type: ignore[arg-type]
    lifecycle.launch(campaign, by="test")
    if lifecycle.canaries(campaign):
        lifecycle.go_on(campaign, by="test")
    return campaign


def _copies(originals: list[Letter], count: int) -> None:
    turns = [originals[place % len(originals)] for place in range(count)]
    addresses = [f"signer{next(_people)}@people.example" for _ in turns]
    people = Supporter.objects.bulk_create(
        Supporter(name=f"Signer of {one}", email=one, address_key=address_key(one), language="fr")
        for one in addresses
    )
    pairs = list(zip(turns, people, strict=True))
    Consent.objects.bulk_create(
        Consent(supporter=person, purpose=letter.purpose, act=Consent.Act.GIVEN, wording="J'accepte.")
        for letter, person in pairs
    )
    Letter.objects.bulk_create(_copy(letter, person) for letter, person in pairs)
    for letter in originals:
        more = turns.count(letter)
        Tally.objects.filter(campaign=letter.campaign, country=letter.country).update(
            signed=F("signed") + more, numbered=F("numbered") + more
        )


def _copy(letter: Letter, person: Supporter) -> Letter:
    other = copy.copy(letter)
    other.pk, other.supporter = None, person
    other.signer_name, other.signer_email, other.address_key = person.name, person.email, person.address_key
    other.reply_token = tokens.new_reply_token(secrets.choice)
    other.reference = f"{letter.country_id}-{secrets.token_hex(8)}"
    return other


def states(campaign: Campaign) -> dict[str, int]:
    """How many of a campaign's letters are in which state; those with none left out."""
    return {state: count for state, count in lifecycle.equation(campaign).states.items() if count}


def settled(campaign: Campaign) -> bool:
    """Whether nothing goes on any more: what is open is in doubt."""
    counts = lifecycle.equation(campaign)
    return counts.open == counts.states[State.UNCERTAIN]


def verdict(relay: Relay, campaign: Campaign, *, doubtful: int = 0) -> dict[str, int]:
    """The states, once the judge finds nothing bad: no more doubts than told, and none stuck."""
    found = judge(relay, dict(Delivery.objects.values_list("message_id", "state")))
    doubts = found.pop("doubtful")
    assert found == {name: [] for name in found}
    assert len(doubts) <= doubtful, f"{len(doubts)} in doubt, where at most {doubtful} can be"
    assert lifecycle.equation(campaign).balanced
    assert not Delivery.objects.filter(state=State.SUBMITTING).exists()
    assert relay.violations == []
    return states(campaign)


@dataclass(frozen=True)
class Kill:
    """What the relay knows of the moment at which all workers were killed."""

    lines: int  # open then; each can hold one letter between its final dot and our reading of the answer
    unanswered: int  # letters whose dot had come and to whom nothing was said yet


def at_kill(relay: Relay, *, since: int, at: float) -> Kill:
    """What was in flight on lines numbered above `since` when the workers were killed."""
    time.sleep(relay.delay + 0.1)  # what had been said before arrives, and is answered
    said = {one.message_id: one.time for one in list(relay.log) if one.stage == "dot"}
    came = {one.message_id: one.time for one in list(relay.log) if one.stage == "body"}
    open_ones = [name for name, moment in came.items() if moment <= at < said.get(name, at + 1)]
    return Kill(lines=relay.connections - since, unanswered=len(open_ones))
