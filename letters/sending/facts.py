"""What must be known of claimed deliveries before they leave: one query for all letters of a batch."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Concat

from contacts.addresses import domain_of, envelope
from contacts.models import Consent
from letters.models import Delivery

COLUMNS = (
    "pk", "attempts", "first_tried_at", "submitted_at", "message_id", "campaign_id", "office_id", "form_id",
    "letter_id", "letter__state", "letter__supporter_id", "letter__signer_name", "letter__signer_email",
    "letter__include_email", "letter__city", "letter__home", "letter__organisation", "letter__own_words",
    "letter__asks", "letter__reference", "letter__reply_token", "letter__language", "letter__text_id",
    "letter__footer_id", "campaign__slug", "campaign__sending", "campaign__send_by", "office__email",
    "office__state", "office__country__enabled",
)  # fmt: skip


@dataclass(slots=True)
class LetterFacts:
    """A letter to an office with all that decides whether and how it leaves: COLUMNS, and its consent."""

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
    slug: str
    sending: str
    send_by: datetime | None
    email: str
    office_state: str
    country_enabled: bool
    consent: str | None  # the latest act


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
    rows = Delivery.objects.filter(pk__in=numbers).order_by().values_list(*COLUMNS, latest)
    found = {row[0]: LetterFacts(*row) for row in rows}
    return [found[number] for number in numbers if number in found]


@lru_cache(maxsize=4096)
def route(address: str) -> Route:
    """Envelope address and domain of an address. Raises AddressError when it is none."""
    found = envelope(address)
    return Route(found, domain_of(found))
