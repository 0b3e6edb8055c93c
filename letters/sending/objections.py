"""Reasons not to send, asked at the last moment before a message leaves."""

from django.db.models.functions import Now

from contacts import consent
from contacts.models import Suppression
from letters.models import Campaign, Delivery, Letter
from letters.outbox import NO_ADDRESS
from letters.rules.ledger import State

Objection = tuple[State, str]


def objection(delivery: Delivery) -> Objection | None:
    """Why a claimed delivery must not leave now, with the state it goes to instead; None to send it.

    WAITING puts it back unharmed (its campaign was paused).
    """
    if delivery.kind == Delivery.Kind.LETTER:
        return _letter_objection(delivery)
    letter = delivery.letter
    if delivery.kind == Delivery.Kind.CONFIRMATION and (
        letter is None or letter.state != Letter.State.UNCONFIRMED
    ):
        return State.CANCELLED, "no longer waiting for confirmation"
    if not delivery.recipient:
        return State.FAILED, "no recipient"
    scope = Suppression.Scope.NEWS if delivery.kind == Delivery.Kind.NOTICE else Suppression.Scope.ALL
    if consent.suppressed([delivery.recipient], scope=scope):
        return State.SUPPRESSED, "the address asked not to be written to"
    return None


def _letter_objection(delivery: Delivery) -> Objection | None:
    letter, campaign, office = delivery.letter, delivery.campaign, delivery.office
    assert letter is not None
    assert campaign is not None
    assert office is not None
    if letter.state != Letter.State.CONFIRMED:
        return State.WITHDRAWN, letter.get_state_display()
    if campaign.sending == Campaign.Sending.CANCELLED:
        return State.CANCELLED, "the campaign was cancelled"
    if campaign.sending != Campaign.Sending.RUNNING:
        return State.WAITING, "the campaign is not running"
    if campaign.send_by and Delivery.objects.filter(pk=delivery.pk, campaign__send_by__lt=Now()).exists():
        return State.EXPIRED, "too late to send"
    if not (office.sendable and office.country.enabled):
        return State.HELD, NO_ADDRESS
    if letter.supporter is None or not consent.holds(letter.supporter, letter.purpose):
        return State.WITHDRAWN, "consent was withdrawn"
    # “Not me” is said by people about sign-ups; it never speaks for a ministry.
    if consent.suppressed([office.email], ignoring=Suppression.Reason.NOT_ME):
        return State.SUPPRESSED, "the office asked not to be written to"
    return None
