"""Reads stored mail, files it under its letters, and lets it have its consequences. May run again."""

import logging
import time
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from contacts.addresses import domain_of
from letters import tracking
from letters.models import Delivery, Filing, Incoming, Letter, Reading
from letters.rules import matching, reading
from letters.rules.matching import Clue, Pointer

log = logging.getLogger(__name__)
BATCH = 50
ABOUT_OURS = {reading.Kind.BOUNCE_HARD, reading.Kind.BOUNCE_SOFT, reading.Kind.COMPLAINT}


def file_new(seconds: float) -> int:
    """Files what is new, for at most so many seconds; returns how many messages were dealt with."""
    until, done = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        numbers = list(
            Incoming.objects.filter(state=Incoming.State.NEW)
            .order_by("pk")
            .values_list("pk", flat=True)[:BATCH]
        )
        if not numbers:
            break
        for number in numbers:
            done += _file_or_set_aside(number)
    return done


def _file_or_set_aside(number: int) -> bool:
    """One message that cannot be filed goes to the tray, and holds up no other.

    Raises OperationalError when the database is away: then the message stays as it is.
    """
    try:
        return file_one(number)
    except OperationalError:
        raise
    except Exception:  # strangers' bytes: whatever they break, the mail is kept and the next one is read
        log.exception("incoming mail %s cannot be filed and waits on the tray", number)
        rows = Incoming.objects.filter(pk=number, state=Incoming.State.NEW)
        return bool(rows.update(state=Incoming.State.TRAY, kind=reading.Kind.OTHER))


def file_one(number: int) -> bool:
    """Reads and files one message. False when another worker did it meanwhile."""
    with transaction.atomic():
        row = Incoming.objects.select_for_update().get(pk=number)
        if row.state != Incoming.State.NEW:
            return False
        mail = _read(row)
        pointers = matching.pointers(
            mail, envelope_to=row.envelope_to, domain=settings.REPLY_DOMAIN, key=settings.SECRET_KEY.encode()
        )
        deliveries, filings = _follow(pointers)
        for letter, pointer in filings.items():
            _file(row, letter, pointer, mail)
        for delivery in deliveries:
            tracking.heard(delivery, mail.kind, incoming=row, detail="; ".join(mail.reasons + mail.statuses))
        row.kind = mail.kind
        row.sender, row.subject = _storable(mail.sender[:320]), _storable(mail.subject[:300])
        row.state = _state(mail.kind, bool(filings), bool(deliveries))
        row.save(update_fields=["kind", "sender", "subject", "state"])
    return True


def file_by_hand(incoming: Incoming, letter: Letter, *, user: object) -> Filing:
    """A coordinator files a message under a letter. May happen twice."""
    with transaction.atomic():
        filing, _ = Filing.objects.update_or_create(
            incoming=incoming,
            letter=letter,
            defaults={
                "method": Filing.Method.HAND, "confidence": 100, "why": "filed by a person", "by": user,
                "undone_at": None, "undone_by": None,
            },
        )  # fmt: skip
        Incoming.objects.filter(pk=incoming.pk).update(state=Incoming.State.FILED)
        for delivery in letter.deliveries.filter(kind=Delivery.Kind.LETTER):
            tracking.heard(
                delivery,
                reading.Kind(incoming.kind or reading.Kind.OTHER),
                incoming=incoming,
                detail="filed by a person",
            )
    return filing


def undo(filing: Filing, *, user: object) -> None:
    """Takes a filing back; the message returns to the tray when nothing else holds it. May happen twice."""
    with transaction.atomic():
        Filing.objects.filter(pk=filing.pk, undone_at=None).update(undone_at=timezone.now(), undone_by=user)
        if not Filing.objects.filter(incoming=filing.incoming_id, undone_at=None).exists():
            Incoming.objects.filter(pk=filing.incoming_id).update(state=Incoming.State.TRAY)


def _read(row: Incoming) -> reading.Read:
    told = {"": None, "<>": ""}.get(row.envelope_from, row.envelope_from)
    mail = reading.read(bytes(row.raw), envelope_from=told)
    fields = {name: _storable(value) for name, value in vars(mail).items() if name not in {"kind", "reasons"}}
    Reading.objects.update_or_create(
        incoming=row,
        version=reading.VERSION,
        defaults={"kind": mail.kind, "fields": fields, "reasons": mail.reasons},
    )
    return mail


def _storable(value: Any) -> Any:
    """A value without what JSON in PostgreSQL refuses: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {key: _storable(one) for key, one in value.items()}
    return value


def _follow(pointers: list[Pointer]) -> tuple[list[Delivery], dict[Letter, Pointer]]:
    """The deliveries and letters that the surest kind of clue that leads anywhere leads to."""
    deliveries: dict[int, Delivery] = {}
    filings: dict[Letter, Pointer] = {}
    for pointer in pointers:
        if filings and pointer.clue != next(iter(filings.values())).clue:
            break
        for delivery in _led_to(pointer):
            deliveries[delivery.pk] = delivery
            if delivery.letter and delivery.kind == Delivery.Kind.LETTER:
                filings.setdefault(delivery.letter, pointer)
        if pointer.clue == Clue.BOUNCE and deliveries:
            break
    return list(deliveries.values()), filings


def _led_to(pointer: Pointer) -> list[Delivery]:
    rows = Delivery.objects.select_related("letter", "office")
    if pointer.clue == Clue.BOUNCE:
        return list(rows.filter(pk=int(pointer.value)))
    if pointer.clue == Clue.THREAD:
        return list(rows.filter(message_id=pointer.value))
    rows = rows.filter(kind=Delivery.Kind.LETTER)
    if pointer.clue == Clue.TOKEN:
        return list(rows.filter(letter__reply_token=pointer.value))
    return list(rows.filter(letter__reference=pointer.value))


def _file(row: Incoming, letter: Letter, pointer: Pointer, mail: reading.Read) -> None:
    sender = domain_of(mail.sender.rpartition("<")[2].rstrip("> "))
    Filing.objects.get_or_create(
        incoming=row,
        letter=letter,
        defaults={
            "method": pointer.clue.value,
            "confidence": matching.CONFIDENCE[pointer.clue],
            "verified": bool(sender) and sender == domain_of(letter.office.email),
            "why": pointer.where[:300],
        },
    )


def _state(kind: reading.Kind, filed: bool, ours: bool) -> Incoming.State:
    if filed:
        return Incoming.State.FILED
    return Incoming.State.NOTED if ours and kind in ABOUT_OURS else Incoming.State.TRAY
