"""What must be known of claimed deliveries before they leave: one query for all letters of a batch."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from contacts.addresses import domain_of, envelope
from contacts.models import Consent, Office
from letters.models import Campaign, Delivery
from letters.sending import bulk

COLUMNS = (
    "pk", "attempts", "first_tried_at", "submitted_at", "message_id", "campaign_id", "office_id", "form_id",
    "letter_id", "letter__state", "letter__supporter_id", "letter__signer_name", "letter__signer_email",
    "letter__include_email", "letter__city", "letter__home", "letter__organisation", "letter__own_words",
    "letter__asks", "letter__reference", "letter__reply_token", "letter__language", "letter__text_id",
    "letter__footer_id",
)  # fmt: skip
CAMPAIGN = ("slug", "sending", "send_by")
OFFICE = ("email", "state", "country__enabled")


@dataclass(slots=True)
class LetterFacts:
    """A letter with all that decides whether and how it leaves: COLUMNS, consent, CAMPAIGN, OFFICE."""

    number: int
    attempts: int
    first_tried_at: datetime | None
    submitted_at: datetime | None
    message_id: str
    campaign: int
    office: int
    form: int | None
    letter: int
    state: str
    supporter: int | None
    signer_name: str
    signer_email: str
    include_email: bool
    city: str
    home: str
    organisation: str
    own_words: str
    asks: dict[str, int]
    reference: str
    reply_token: str
    language: str
    text: int
    footer: int | None
    consent: str | None  # the latest act
    slug: str
    sending: str
    send_by: datetime | None
    email: str
    office_state: str
    country_enabled: bool


@dataclass(frozen=True, slots=True)
class Route:
    """An address taken apart, once."""

    envelope: str
    domain: str


def letters(numbers: list[int]) -> list[LetterFacts]:
    """The facts of letters, in the order of their numbers given."""
    acts = Consent.objects.filter(
        supporter=OuterRef("letter__supporter"), purpose=Concat(Value("letter:"), OuterRef("campaign__slug"))
    )
    latest = Subquery(acts.order_by("-pk").values("act")[:1])
    rows = list(Delivery.objects.filter(pk__in=bulk.listed(numbers)).order_by().values_list(*COLUMNS, latest))
    # A batch is of few campaigns and offices: joined, each would come again with every letter.
    campaigns = _by_key(Campaign.objects.filter(pk__in={row[5] for row in rows}), CAMPAIGN)
    offices = _by_key(Office.objects.filter(pk__in={row[6] for row in rows}), OFFICE)
    found = {row[0]: LetterFacts(*row, *campaigns[row[5]], *offices[row[6]]) for row in rows}
    return [found[number] for number in numbers if number in found]


def _by_key(rows: QuerySet[Any], columns: tuple[str, ...]) -> dict[int, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in rows.values_list("pk", *columns)}


@lru_cache(maxsize=4096)
def route(address: str) -> Route:
    """Envelope address and domain of an address. Raises AddressError when it is none."""
    found = envelope(address)
    return Route(found, domain_of(found))
