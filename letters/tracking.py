"""News of a delivery after it left: outcomes move forward by rank, doubts are settled."""

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.db import transaction
from django.db.models import Q

from contacts import consent
from contacts.addresses import AddressError, envelope, mask
from contacts.models import Suppression
from letters.models import Delivery, DeliveryEvent, Incoming
from letters.rules.ledger import DUE, MAY_HAVE_LEFT, Outcome, State
from letters.rules.reading import Kind
from letters.sending.recording import one_line

log = logging.getLogger(__name__)
OUTCOME = {
    Kind.BOUNCE_HARD: Outcome.BOUNCED_HARD,
    Kind.BOUNCE_SOFT: Outcome.BOUNCED_SOFT,
    Kind.AUTO_REPLY: Outcome.ACKNOWLEDGED,
    Kind.HUMAN_REPLY: Outcome.REPLIED,
    Kind.COMPLAINT: Outcome.COMPLAINED,
}
# Providers' events, as Anymail names them. Others are not kept, of opening and clicking least of all.
TOLD = {
    EventType.QUEUED: Outcome.NONE,
    EventType.SENT: Outcome.NONE,
    EventType.DEFERRED: Outcome.NONE,
    EventType.UNSUBSCRIBED: Outcome.NONE,
    EventType.DELIVERED: Outcome.DELIVERED,
    EventType.AUTORESPONDED: Outcome.ACKNOWLEDGED,
    # These three are hard only where they say that the address takes no mail.
    EventType.BOUNCED: Outcome.BOUNCED_SOFT,
    EventType.REJECTED: Outcome.BOUNCED_SOFT,
    EventType.FAILED: Outcome.BOUNCED_SOFT,
    EventType.COMPLAINED: Outcome.COMPLAINED,
}
# Where a provider's own event says what kind of bounce it is, which Anymail does not: "*" is any key.
BOUNCE_KIND = {
    "Amazon SES": ("bounce", "bounceType"),
    "Brevo": ("event",),
    "MailerSend": ("data", "type"),
    "Mailjet": ("hard_bounce",),
    "Mandrill": ("event",),
    "Postmark": ("Type",),
    "Resend": ("data", "bounce", "type"),
    "SendGrid": ("type",),
    "SparkPost": ("msys", "*", "bounce_class"),
}
HARD = {
    "10", "30", "90", "BadEmailAddress", "HardBounce", "Permanent", "True", "bounce", "hard_bounce",
    "hard_bounced", "invalid_email",
}  # fmt: skip
STATUS = re.compile(r"(?<![\d.])([45])\.(\d{1,3}\.\d{1,3})(?!\.?\d)")  # RFC 3463; no part of an IP address
FULL = {"2.2", "3.1"}  # a full mailbox or system empties again
TO_SUPPORTERS = {Delivery.Kind.CONFIRMATION, Delivery.Kind.NOTICE}


class Trust(IntEnum):
    """How much may be believed of what a message says about a delivery."""

    NONE = 0  # anybody can write that: a quoted reference
    ANSWER = 1  # its writer knows the reply address or our Message-ID: may have answered
    PROOF = 2  # it came to the signed bounce address, or from the office itself, or a person says so


@dataclass(frozen=True)
class News:
    """One thing that became known of a delivery. The same `key` is the same thing, told again."""

    key: str
    what: str
    outcome: Outcome
    detail: str
    source: str


def heard(delivery: Delivery, kind: Kind, trust: Trust, *, incoming: Incoming, detail: str) -> None:
    """A message about a delivery, or answering it, came in. May be told twice, in any order.

    Bounces and complaints count with proof only; answers change no letter that has not left, and settle a
    doubt with proof only.
    """
    outcome = OUTCOME.get(kind)
    needed = Trust.ANSWER if kind in {Kind.AUTO_REPLY, Kind.HUMAN_REPLY} else Trust.PROOF
    delivery.refresh_from_db(fields=["state"])
    if delivery.state in (State.SUBMITTING, State.UNCERTAIN):
        needed = Trust.PROOF
    if outcome is None or trust < needed or delivery.state not in MAY_HAVE_LEFT:
        return
    key = f"incoming:{incoming.pk}:{delivery.pk}:{kind}"
    _take(delivery, News(key, kind.value, outcome, detail, "inbound"), Q(state=State.UNCERTAIN))


def told(provider: str, event: AnymailTrackingEvent) -> bool:
    """A provider says what became of a message. May be told many times, in any order, at the same moment.

    False for events that are not kept, or not about a message of ours. Database errors pass through, so that
    the provider is answered "try again".
    """
    if event.event_type not in TOLD:
        return False
    with transaction.atomic():
        delivery = _meant(event)
        if delivery is None:
            log.info("%s: %s of an unknown message to %s", provider, event.event_type, mask(_to(event)))
            return False
        detail = "; ".join(filter(None, (event.reject_reason, event.description, event.mta_response)))
        news = News(_key(provider, event), event.event_type, _outcome(provider, event), detail, provider)
        # What the provider has, has left: also where we believed that it was still to be tried again.
        if _take(delivery, news, Q(state=State.UNCERTAIN) | Q(state__in=DUE, attempts__gt=0)):
            unnumbered = Delivery.objects.filter(pk=delivery.pk, provider_id="")
            unnumbered.update(provider_id=str(event.message_id or "")[:200])
            if delivery.kind in TO_SUPPORTERS:
                _spare(delivery.recipient, event.event_type)
    return True


def _take(delivery: Delivery, news: News, doubtful: Q) -> bool:
    """Writes down news, ends doubts, moves the outcome forward. False, when they were told before."""
    _, new = DeliveryEvent.objects.get_or_create(
        event_id=news.key,
        defaults={
            "delivery": delivery,
            "what": news.what,
            "detail": one_line(news.detail, 500),
            "source": news.source,
        },
    )
    if new:
        row = Delivery.objects.filter(pk=delivery.pk)
        row.filter(doubtful).to(State.ACCEPTED, reason=f"settled: {news.what}, from {news.source}")
        row.filter(state__in=MAY_HAVE_LEFT, outcome__lt=news.outcome).update(outcome=news.outcome)
    return new


def _meant(event: AnymailTrackingEvent) -> Delivery | None:
    """The delivery that an event is about: by the provider's number or our Message-ID, and ours if it came.

    Our number alone does where the provider's is not known yet, its answer being lost, and the recipient is
    the same. What disagrees is about nothing of ours.
    """
    number = str(event.metadata.get("delivery", "")) if isinstance(event.metadata, dict) else ""
    ours = int(number) if number.isdecimal() and len(number) < 19 else None
    known = str(event.message_id or "")
    found = list(Delivery.objects.filter(Q(provider_id=known) | Q(message_id=known))) if known else []
    if ours is None:
        return found[0] if len(found) == 1 else None
    if found:
        return next((row for row in found if row.pk == ours), None)
    row = Delivery.objects.filter(pk=ours, provider_id="").exclude(recipient="").first()
    return row if row and envelope(row.recipient).lower() == _to(event).lower() else None


def _to(event: AnymailTrackingEvent) -> str:
    return str(event.recipient or "")


def _key(provider: str, event: AnymailTrackingEvent) -> str:
    """What makes an event itself: the provider's number for it, else what it says."""
    said = [event.event_id] if event.event_id else [event.message_id, event.timestamp]
    parts = map(str, (provider, event.event_type, _to(event).lower(), *said))
    return "anymail:" + hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def _outcome(provider: str, event: AnymailTrackingEvent) -> Outcome:
    outcome = TOLD[event.event_type]
    return Outcome.BOUNCED_HARD if outcome is Outcome.BOUNCED_SOFT and _hard(provider, event) else outcome


def _hard(provider: str, event: AnymailTrackingEvent) -> bool:
    """Whether the address takes no mail: by the provider's own word, else by status, else by reason."""
    for kind in _at(event.esp_event, BOUNCE_KIND.get(provider, ())):
        return str(kind) in HARD
    if found := STATUS.search(f"{event.mta_response} {event.description}"):
        return found[1] == "5" and found[2] not in FULL
    return event.reject_reason in {RejectReason.BOUNCED, RejectReason.INVALID}


def _at(found: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """What stands at the end of a path through JSON; nothing where it ends too early or there is none."""
    for name in path:
        if not isinstance(found, dict):
            return
        found = next(iter(found.values()), None) if name == "*" else found.get(name)
    if path and found is not None:
        yield found


def _spare(address: str, what: str) -> None:
    """A supporter who complains is written to no more; one who unsubscribes gets no news."""
    try:
        if what == EventType.COMPLAINED:
            consent.suppress(address, reason=Suppression.Reason.COMPLAINT)
        elif what == EventType.UNSUBSCRIBED:
            consent.suppress(address, reason=Suppression.Reason.ASKED, scope=Suppression.Scope.NEWS)
    except AddressError:
        log.warning("a supporter's address that is none cannot be spared: %s", mask(address))
