"""One round of a worker: claim, ask for objections, commit, send, record, until nothing is due."""

import logging
import time

from django.conf import settings
from django.db import InterfaceError, OperationalError

from contacts.addresses import envelope
from letters import composing
from letters.models import Delivery
from letters.models.clock import database_time
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
DATABASE_AWAY = (OperationalError, InterfaceError)


def send_due(seconds: float) -> int:
    """Sends what is due, for at most so many seconds; returns how many messages were handed over.

    Raises InvalidMailer when a relay is not configured, database errors when it is away; what was claimed
    and not yet sent is given back.
    """
    until, sent = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        name, numbers = claim(settings.SEND_BATCH)
        if not numbers:
            break
        try:
            while numbers and time.monotonic() < until:
                sent += _send(numbers[0], name)
                numbers.pop(0)
        finally:
            recording.move(numbers, State.WAITING, claim=name)
    return sent


def _send(number: int, name: str) -> bool:
    """Sends one claimed delivery. True when the relay took it."""
    delivery = Delivery.objects.select_related(*RELATED).get(pk=number)
    if (delivery.state, delivery.claimed_by) != (State.CLAIMED, name):
        return False
    relay = transport.connection(delivery.kind)
    try:
        if why := objection(delivery):
            recording.withhold(delivery, *why)
            return False
        message, recipient = _prepared(delivery), envelope(delivery.recipient)
    except DATABASE_AWAY:
        raise
    except Exception as error:  # whatever is wrong with this one, it alone fails and says so
        log.exception("delivery %s cannot be written", number)
        recording.fail(delivery, f"cannot be written: {error}")
        return False
    if not recording.submitting(number, claim=name, lease=settings.LEASE_SECONDS):
        recording.move([number], State.WAITING, claim=name)
        return False
    delivery.refresh_from_db(fields=["attempts", "first_tried_at", "state"])
    try:
        words = relay.submit(writing.envelope_sender(delivery), recipient, message)
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
        delivery.submitted_at = database_time()
        changed.append("submitted_at")
    if delivery.kind == Delivery.Kind.LETTER:
        assert delivery.letter is not None
        assert delivery.office is not None
        if delivery.form is None:
            form = composing.form_of(delivery.letter, today=delivery.submitted_at.date())
            delivery.form = composing.keep(form)
            changed.append("form")
        if delivery.recipient != delivery.office.email:
            delivery.recipient = delivery.office.email
            changed.append("recipient")
    message = writing.write(delivery)
    if changed:
        delivery.save(update_fields=changed)
    return message
