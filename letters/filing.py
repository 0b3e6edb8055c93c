"""Reads stored mail, files it under its letters, and lets it have its consequences. May run again."""

import logging
import time
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from contacts.addresses import domain_of
from letters import tracking
from letters.models import Delivery, Filing, Incoming, Letter, Reading
from letters.rules import matching, reading
from letters.rules.matching import Clue, Pointer
from letters.tracking import Trust

log = logging.getLogger(__name__)
BATCH = 50
TRIES = 3  # at one message; a worker killed by it counts
AT_MOST = {Clue.BOUNCE: 5, Clue.TOKEN: 20, Clue.THREAD: 20, Clue.REFERENCE: 5}  # of one message
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
    mine = Incoming.objects.filter(pk=number, state=Incoming.State.NEW)
    mine.update(attempts=F("attempts") + 1)
    if mine.filter(attempts__gt=TRIES).update(state=Incoming.State.TRAY, kind=reading.Kind.OTHER):
        return True
    try:
        return file_one(number)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # strangers' bytes: whatever they break, the mail is kept and the next one is read
        log.exception("incoming mail %s cannot be filed and waits on the tray", number)
        return bool(mine.update(state=Incoming.State.TRAY, kind=reading.Kind.OTHER))


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
        found, filed = _follow(pointers), False
        for delivery, pointer in found.items():
            if delivery.letter and delivery.kind == Delivery.Kind.LETTER:
                _file(row, delivery.letter, pointer, mail)
                filed = True
            detail = "; ".join(mail.reasons + mail.statuses)
            tracking.heard(delivery, mail.kind, _trust(delivery, pointer, mail), incoming=row, detail=detail)
        row.kind = mail.kind
        row.sender, row.subject = _storable(mail.sender[:320]), _storable(mail.subject[:300])
        row.state = _state(mail.kind, filed, bool(found))
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
                Trust.PROOF,
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


def _follow(pointers: list[Pointer]) -> dict[Delivery, Pointer]:
    """The deliveries that the surest kind of clue that leads anywhere leads to."""
    for clue in Clue:
        chosen = {one.value: one for one in pointers if one.clue == clue}
        at_most = AT_MOST[clue]
        found = _led_to(clue, list(chosen)[:at_most]) if chosen else {}
        if clue == Clue.REFERENCE and len(found) > 1:
            return {}  # references are public: a list of them is no answer to anybody
        if found:
            return {delivery: chosen[value] for delivery, value in found.items()}
    return {}


def _led_to(clue: Clue, values: list[str]) -> dict[Delivery, str]:
    """{delivery: the clue's value that names it}, in one query."""
    field = {
        Clue.BOUNCE: "pk",
        Clue.TOKEN: "letter__reply_token",
        Clue.THREAD: "message_id",
        Clue.REFERENCE: "letter__reference",
    }[clue]
    rows = Delivery.objects.select_related("letter", "office").filter(**{f"{field}__in": values})
    if clue in {Clue.TOKEN, Clue.REFERENCE}:
        rows = rows.filter(kind=Delivery.Kind.LETTER)
    return {row: str(value) for row in rows.annotate(named=F(field)) if (value := row.named) is not None}


def _trust(delivery: Delivery, pointer: Pointer, mail: reading.Read) -> Trust:
    """How much a message may be believed: by its address, by its thread, by its sender."""
    if pointer.clue == Clue.BOUNCE:
        return Trust.PROOF
    if pointer.clue == Clue.REFERENCE or delivery.letter is None:
        return Trust.NONE
    return Trust.PROOF if _is_office(mail, delivery.letter) else Trust.ANSWER


def _is_office(mail: reading.Read, letter: Letter) -> bool:
    sender = domain_of(mail.sender.rpartition("<")[2].rstrip("> "))
    return bool(sender) and sender == domain_of(letter.office.email)


def _file(row: Incoming, letter: Letter, pointer: Pointer, mail: reading.Read) -> None:
    Filing.objects.get_or_create(
        incoming=row,
        letter=letter,
        defaults={
            "method": pointer.clue.value,
            "confidence": matching.CONFIDENCE[pointer.clue],
            "verified": _is_office(mail, letter),
            "why": pointer.where[:300],
        },
    )


def _state(kind: reading.Kind, filed: bool, ours: bool) -> Incoming.State:
    if filed:
        return Incoming.State.FILED
    return Incoming.State.NOTED if ours and kind in ABOUT_OURS else Incoming.State.TRAY
