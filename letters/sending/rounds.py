"""One round of a worker: claim, ask for objections, commit, send, record, until nothing is due."""

import logging
import time

from django.conf import settings
from django.utils import timezone

from contacts.addresses import envelope
from letters import composing
from letters.models import Delivery
from letters.rules.ledger import State
from letters.sending import recording, transport, writing
from letters.sending.claiming import claim
from letters.sending.objections import objection
from letters.sending.smtp import SmtpError

log = logging.getLogger(__name__)
RELATED = (
    "campaign", "letter__campaign", "letter__supporter", "letter__office__country", "letter__country",
    "letter__lives_in", "letter__text", "letter__footer", "office__country", "form",
)  # fmt: skip
# What composing and encoding raise for a letter that cannot be written: it alone fails.
POISON = (LookupError, ValueError, TypeError)


def send_due(seconds: float) -> int:
    """Sends what is due, for at most so many seconds; returns how many messages were handed over."""
    until, sent = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        name, numbers = claim(settings.SEND_BATCH)
        if not numbers:
            break
        for place, number in enumerate(numbers):
            if time.monotonic() >= until:
                recording.move(numbers[place:], State.WAITING, claim=name)
                break
            sent += _send(number, name)
    return sent


def _send(number: int, name: str) -> bool:
    """Sends one claimed delivery. True when the relay took it."""
    delivery = Delivery.objects.select_related(*RELATED).get(pk=number)
    if (delivery.state, delivery.claimed_by) != (State.CLAIMED, name):
        return False
    if why := objection(delivery):
        recording.withhold(delivery, *why)
        return False
    try:
        message = _prepared(delivery)
        recipient = envelope(delivery.recipient)
    except POISON as error:
        log.warning("delivery %s cannot be written: %s", number, type(error).__name__)
        recording.fail(delivery, f"cannot be written: {error}")
        return False
    if not recording.submitting(number, claim=name, lease=settings.LEASE_SECONDS):
        recording.move([number], State.WAITING, claim=name)
        return False
    delivery.refresh_from_db(fields=["attempts", "first_tried_at", "state"])
    try:
        words = transport.connection(delivery.kind).submit(
            writing.envelope_sender(delivery), recipient, message
        )
    except SmtpError as error:
        log.info("delivery %s not taken: %s %s", number, error.stage, error.code)
        recording.refused(delivery, error)
        return False
    recording.accepted(delivery, words)
    return True


def _prepared(delivery: Delivery) -> bytes:
    """The message, with what it is made of frozen first: its form, its recipient, its date."""
    changed = []
    if delivery.submitted_at is None:
        delivery.submitted_at = timezone.now()
        changed.append("submitted_at")
    if delivery.kind == Delivery.Kind.LETTER:
        assert delivery.letter is not None
        assert delivery.office is not None
        if delivery.form is None:
            delivery.form = composing.keep(composing.form_of(delivery.letter, today=timezone.now().date()))
            changed.append("form")
        if delivery.recipient != delivery.office.email:
            delivery.recipient = delivery.office.email
            changed.append("recipient")
    message = writing.write(delivery)
    if changed:
        delivery.save(update_fields=changed)
    return message
