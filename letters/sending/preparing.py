"""From due rows to jobs: claims a batch, asks for objections, commits `submitting`, writes the messages."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from letters.models import Delivery
from letters.models.clock import database_time
from letters.querysets import in_seconds
from letters.rules import ledger
from letters.rules.composing import Plan
from letters.rules.ledger import State
from letters.sending import bulk, claiming, facts, forms, objections, recording, writing
from letters.sending.facts import LetterFacts
from letters.sending.jobs import Job, Result, Try, Verdict
from letters.sending.mime import build
from letters.sending.smtp import stuffed
from letters.sending.transport import MAILER

log = logging.getLogger(__name__)
Spoilt = tuple[Try, Result]
RELATED = (
    "campaign", "letter__campaign", "letter__supporter", "letter__office__country", "letter__country",
    "letter__lives_in", "letter__text", "letter__footer",
)  # fmt: skip


class Batch:
    """What one claim found: jobs ready to leave, and those that cannot be written."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.spoilt: list[Spoilt] = []
        self.shut = False  # the relay may be given nothing now

    def __len__(self) -> int:
        return len(self.jobs) + len(self.spoilt)


def claim(name: str, alias: str, limit: int, *, smtp: bool = True) -> Batch:
    """Claims up to `limit` due deliveries for one mailer; they are `submitting` in the ledger afterwards.

    Everything is asked and committed in one transaction, then the messages are written, for SMTP to the byte.
    """
    batch, checked_at = Batch(), time.monotonic()
    with transaction.atomic():
        now = database_time()
        room = claiming.relay_room(alias, limit, now)
        if not room:
            batch.shut = True
            return batch
        domains = claiming.destinations()
        mails = _mails(name, claiming.mails(alias, room, now, domains))
        numbers: list[int] = []
        if MAILER[Delivery.Kind.LETTER] == alias and len(mails) < room:
            numbers = claiming.letters(room - len(mails), now, domains)
        rows, plans = _letters(name, numbers, now, batch)
        domains.save(now)
        claiming.relay_used(alias, len(mails) + len(rows), now)
    for mail in mails:
        _add(batch, mail, partial(writing.mail_job, mail, checked_at=checked_at))
    for row in rows:
        _add(batch, row, partial(writing.letter_job, row, plans[row.number], checked_at=checked_at))
    if smtp:
        _to_the_byte(batch)
    return batch


def _mails(name: str, numbers: list[int]) -> list[Delivery]:
    if not numbers:
        return []
    rows = {row.pk: row for row in Delivery.objects.select_related(*RELATED).filter(pk__in=numbers)}
    mails = [rows[number] for number in numbers if number in rows]
    found = objections.to_mails(mails)
    recording.withhold(found)
    leaving = [mail for mail in mails if mail.pk not in found]
    Delivery.objects.filter(pk__in=[mail.pk for mail in leaving]).to(
        State.SUBMITTING,
        claimed_by=name,
        lease_until=in_seconds(settings.LEASE_SECONDS),
        attempts=F("attempts") + 1,
        submitted_at=Coalesce("submitted_at", Now()),
        first_tried_at=Coalesce("first_tried_at", Now()),
    )
    columns = ("attempts", "submitted_at", "first_tried_at", "state")
    fresh = {row[0]: row[1:] for row in Delivery.objects.filter(pk__in=rows).values_list("pk", *columns)}
    for mail in leaving:
        mail.attempts, mail.submitted_at, mail.first_tried_at, mail.state = fresh[mail.pk]
    return [mail for mail in leaving if mail.state == State.SUBMITTING]


def _letters(
    name: str, numbers: list[int], now: datetime, batch: Batch
) -> tuple[list[LetterFacts], dict[int, Plan]]:
    """The letters that leave, now `submitting`, with the plans to write them by."""
    if not numbers:
        return [], {}
    rows = facts.letters(numbers)
    found = objections.to_letters(rows, now=now)
    recording.withhold(found)
    rows = [row for row in rows if row.number not in found]
    plans, impossible = forms.plans(rows, today=now.date())
    gone = _submitting(name, rows, now)
    rows = [row for row in rows if row.number in gone]
    for row in rows:
        row.attempts, row.first_tried_at = row.attempts + 1, row.first_tried_at or now
        row.submitted_at = row.submitted_at or now
        if why := impossible.get(row.number):
            batch.spoilt.append(_spoilt(row, why))
    return [row for row in rows if row.number in plans], plans


def _submitting(name: str, rows: list[LetterFacts], now: datetime) -> set[int]:
    """Commits letters as `submitting`, with form and recipient frozen; returns those that really are."""
    if not rows:
        return set()
    moment = connection.ops.adapt_datetimefield_value(now)
    lease = connection.ops.adapt_datetimefield_value(now + timedelta(seconds=settings.LEASE_SECONDS))
    values = bulk.rows((row.number, row.form, row.email) for row in rows)
    sources = sorted(ledger.sources(State.SUBMITTING))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Delivery._meta.db_table} SET state = %s, claimed_by = %s, attempts = attempts + 1,"  # noqa: S608
            " lease_until = %s, submitted_at = COALESCE(submitted_at, %s),"
            " first_tried_at = COALESCE(first_tried_at, %s),"
            " form_id = new.form, recipient = new.recipient"
            f" FROM {bulk.table(number='bigint', form='bigint', recipient='text')}"
            f" WHERE id = new.number AND state IN ({bulk.places(sources)}) RETURNING id",
            [State.SUBMITTING, name, lease, moment, moment, values, *sources],
        )
        return {number for (number,) in cursor.fetchall()}


def _add(batch: Batch, row: LetterFacts | Delivery, write: Callable[[], Job]) -> None:
    """Writes one message; what cannot be written is spoilt alone."""
    try:
        batch.jobs.append(write())
    except DatabaseError:
        raise
    except Exception as error:  # whatever is wrong with this one, it alone fails and says so
        batch.spoilt.append(_spoilt(row, error))


def _to_the_byte(batch: Batch) -> None:
    whole = []
    for job in batch.jobs:
        try:
            assert job.mail is not None
            job.message = stuffed(build(job.mail))
        except Exception as error:  # a lone surrogate, or what nobody thought of
            batch.spoilt.append((job, _impossible(job.number, error)))
        else:
            job.mail = None  # a thousand of them are megabytes
            whole.append(job)
    batch.jobs = whole


def _spoilt(row: LetterFacts | Delivery, error: Exception) -> Spoilt:
    number = row.number if isinstance(row, LetterFacts) else row.pk
    return Try(number, row.attempts, row.first_tried_at, "", None), _impossible(number, error)


def _impossible(number: int, error: Exception) -> Result:
    log.error("delivery %s cannot be written", number, exc_info=error)
    return Result(Verdict.REFUSED, f"cannot be written: {error}")
