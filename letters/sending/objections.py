"""Reasons not to send, asked for a whole batch at the last moment before its messages leave."""

from collections.abc import Iterable
from datetime import datetime

from contacts import consent
from contacts.addresses import AddressError
from contacts.models import Consent, Office, Suppression
from letters.models import Campaign, Delivery, Letter
from letters.outbox import NO_ADDRESS
from letters.rules.ledger import State
from letters.sending.facts import LetterFacts, route

Objection = tuple[State, str]


def to_letters(rows: Iterable[LetterFacts], *, now: datetime) -> dict[int, Objection]:
    """{delivery: where it goes instead, and why} for the letters that must not leave now."""
    rows = list(rows)
    # “Not me” is said by people about sign-ups; it never speaks for a ministry.
    offices = {row.email for row in rows if row.email}
    silent = consent.suppressed(offices, ignoring=Suppression.Reason.NOT_ME)
    found = ((row.number, _to_letter(row, silent, now)) for row in rows)
    return {number: objection for number, objection in found if objection}


def to_mails(mails: Iterable[Delivery]) -> dict[int, Objection]:
    """The same for confirmations, notices and answers; the deliveries come with their letters."""
    mails = list(mails)
    notices = {mail.recipient for mail in mails if mail.kind == Delivery.Kind.NOTICE}
    others = {mail.recipient for mail in mails} - notices
    silent = _silent(notices, Suppression.Scope.NEWS) | _silent(others, Suppression.Scope.ALL)
    found = ((mail.pk, _to_mail(mail, silent)) for mail in mails)
    return {number: objection for number, objection in found if objection}


def _to_letter(row: LetterFacts, silent: set[str], now: datetime) -> Objection | None:
    if row.state != Letter.State.CONFIRMED:
        return State.WITHDRAWN, str(Letter.State(row.state).label)
    if row.sending == Campaign.Sending.CANCELLED:
        return State.CANCELLED, "the campaign was cancelled"
    if row.sending != Campaign.Sending.RUNNING:
        return State.WAITING, "the campaign is not running"
    if row.send_by and row.send_by < now:
        return State.EXPIRED, "too late to send"
    if not (row.email and row.office_state == Office.State.OPEN and row.country_enabled):
        return State.HELD, NO_ADDRESS
    if row.supporter is None or row.consent != Consent.Act.GIVEN:
        return State.WITHDRAWN, "consent was withdrawn"
    if row.email in silent:
        return State.SUPPRESSED, "the office asked not to be written to"
    return None


def _to_mail(mail: Delivery, silent: set[str]) -> Objection | None:
    letter = mail.letter
    if mail.kind == Delivery.Kind.CONFIRMATION and (
        letter is None or letter.state != Letter.State.UNCONFIRMED
    ):
        return State.CANCELLED, "no longer waiting for confirmation"
    if not _is_address(mail.recipient):
        return State.FAILED, "not an address" if mail.recipient else "no recipient"
    if mail.recipient in silent:
        return State.SUPPRESSED, "the address asked not to be written to"
    return None


def _silent(addresses: set[str], scope: Suppression.Scope) -> set[str]:
    known = {address for address in addresses if _is_address(address)}
    return consent.suppressed(known, scope=scope) if known else set()


def _is_address(address: str) -> bool:
    try:
        return bool(route(address))
    except AddressError:
        return False
