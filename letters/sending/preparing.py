"""From due rows to jobs: claims a batch, asks for objections, commits `submitting`, writes the messages."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
AT_ONCE = 25  # letters written between two looks at the lines
RELATED = (
    "campaign", "letter__campaign", "letter__supporter", "letter__office__country", "letter__country",
    "letter__lives_in", "letter__text", "letter__footer",
)  # fmt: skip


@dataclass
class Claim:
    """What one claim found: deliveries that are to be written now, and those that cannot be."""

    checked_at: float  # time.monotonic() of the look for objections
    mails: list[Delivery] = field(default_factory=list)
    letters: list[LetterFacts] = field(default_factory=list)
    plans: dict[int, Plan] = field(default_factory=dict)
    spoilt: list[Spoilt] = field(default_factory=list)
    shut: bool = False  # the relay may be given nothing now

    def __len__(self) -> int:
        return len(self.mails) + len(self.letters) + len(self.spoilt)


def claim(name: str, alias: str, limit: int) -> Claim:
    """Claims up to `limit` due deliveries for one mailer; they are `submitting` in the ledger afterwards.

    Everything is asked and committed in one transaction. The messages are still to be written: see `write`.
    """
    claimed = Claim(checked_at=time.monotonic())
    with transaction.atomic():
        now = database_time()
        room = claiming.relay_room(alias, limit, now)
        if not room:
            claimed.shut = True
            return claimed
        domains = claiming.destinations()
        claimed.mails = _mails(name, claiming.mails(alias, room, now, domains))
        numbers: list[int] = []
        if MAILER[Delivery.Kind.LETTER] == alias and len(claimed.mails) < room:
            numbers = claiming.letters(room - len(claimed.mails), now, domains)
        _letters(name, numbers, now, claimed)
        domains.save(now)
        claiming.relay_used(alias, len(claimed), now)
    return claimed


def write(claimed: Claim, *, smtp: bool = True) -> Iterator[list[Job]]:
    """The messages of a claim, some at a time, for SMTP to the byte; what cannot be written is spoilt."""
    jobs: list[Job] = []
    for mail in claimed.mails:
        jobs += _written(claimed, mail, partial(writing.mail_job, mail, checked_at=claimed.checked_at), smtp)
        yield jobs
        jobs = []
    for row in claimed.letters:
        plan = claimed.plans[row.number]
        make = partial(writing.letter_job, row, plan, checked_at=claimed.checked_at)
        jobs += _written(claimed, row, make, smtp)
        if len(jobs) >= AT_ONCE:
            yield jobs
            jobs = []
    yield jobs


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


def _letters(name: str, numbers: list[int], now: datetime, claimed: Claim) -> None:
    """The letters that leave, now `submitting`, with the plans to write them by."""
    if not numbers:
        return
    rows = facts.letters(numbers)
    found = objections.to_letters(rows, now=now)
    recording.withhold(found)
    rows = [row for row in rows if row.number not in found]
    claimed.plans, impossible = forms.plans(rows, today=now.date())
    gone = _submitting(name, rows, now)
    for row in rows:
        if row.number not in gone:
            continue
        row.attempts, row.first_tried_at = row.attempts + 1, row.first_tried_at or now
        row.submitted_at = row.submitted_at or now
        if why := impossible.get(row.number):
            claimed.spoilt.append(_spoilt(row, why))
        else:
            claimed.letters.append(row)


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


def _written(claimed: Claim, row: LetterFacts | Delivery, make: Callable[[], Job], smtp: bool) -> list[Job]:
    """One message, or none: what cannot be written is spoilt alone."""
    try:
        job = make()
        if smtp:
            assert job.mail is not None
            job.message = stuffed(build(job.mail))
            job.mail = None  # a thousand of them are megabytes
    except DatabaseError:
        raise
    except Exception as error:  # whatever is wrong with this one, it alone fails and says so
        claimed.spoilt.append(_spoilt(row, error))
        return []
    return [job]


def _spoilt(row: LetterFacts | Delivery, error: Exception) -> Spoilt:
    number = row.number if isinstance(row, LetterFacts) else row.pk
    log.error("delivery %s cannot be written", number, exc_info=error)
    tried = Try(number, row.attempts, row.first_tried_at, "", None)
    return tried, Result(Verdict.REFUSED, f"cannot be written: {type(error).__name__} {error}")
