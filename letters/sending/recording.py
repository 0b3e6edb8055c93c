"""Records what became of tries, in bulk. Every change goes by the ledger's table; claims are respected."""

import logging
import random
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q

from letters.models import Campaign, Delivery, DeliveryEvent, Destination
from letters.models.clock import database_time, now_sql
from letters.querysets import in_seconds
from letters.rules import ledger, pacing
from letters.rules.ledger import Outcome, State
from letters.sending import bulk, mime
from letters.sending.jobs import Result, Try, Verdict

log = logging.getLogger(__name__)
Tried = tuple[Try, Result]
AGAIN_SOON = 1.0  # seconds after which an untouched message may be claimed again
MAYBE_OURS = (State.SUBMITTING, State.UNCERTAIN)  # the latter when the lease ran out meanwhile
PAUSED = 5.0  # seconds after which a message whose campaign does not run is looked at again


def record(name: str, tried: Iterable[Tried]) -> int:
    """Records the results of one worker's tries; returns how many messages were taken.

    `name` is the claim's: what belongs to another one by now stays as it is, but for a message that was
    taken, which is final whatever was believed meanwhile.
    """
    by: dict[Verdict, list[Tried]] = defaultdict(list)
    for pair in tried:
        by[pair[1].verdict].append(pair)
    with transaction.atomic():
        taken = _taken(by[Verdict.TAKEN])
        for one, result in by[Verdict.REFUSED]:
            _conclude(one, State.FAILED, result.words, name)
        _later(by[Verdict.LATER], name)
        doubtful(name, {one.number: result.words for one, result in by[Verdict.DOUBT]})
        _untouched(by[Verdict.UNTOUCHED], name)
        _pace_domains(by)
    return taken


def record_each(name: str, tried: list[Tried]) -> int:
    """Records results together, or where that fails one by one; returns how many could not be recorded."""
    try:
        record(name, tried)
    except (OperationalError, InterfaceError):
        return len(tried)  # the database is away
    except DatabaseError:
        return sum(_cannot_record(name, one) for one in tried)
    return 0


def _cannot_record(name: str, one: Tried) -> bool:
    try:
        record(name, [one])
    except (DatabaseError, InterfaceError) as error:
        log.warning("the result of delivery %s cannot be recorded: %s", one[0].number, type(error).__name__)
        return True
    return False


def doubtful(name: str, why: dict[int, str]) -> int:
    """Marks deliveries uncertain, or, where their campaign says so, has letters sent again, once.

    Where news came in already they left, and there is no doubt. Returns how many were marked.
    """
    known = heard_of(why)
    why = {number: words for number, words in why.items() if number not in known}
    mine = Delivery.objects.filter(claimed_by=name)
    marked = []
    for number, words in why.items():
        if mine.filter(pk=number).to(State.UNCERTAIN, reason=one_line(words)):
            marked.append(_event(number, "uncertain", words))
    DeliveryEvent.objects.bulk_create(marked)
    again = Delivery.objects.letters().filter(
        pk__in=why, state=State.UNCERTAIN, campaign__doubt=Campaign.Doubt.RESEND, claimed_by=name
    )
    for number, attempts in again.exclude(events__what="resent").values_list("pk", "attempts"):
        rule, wait = "in doubt, sent again as the campaign says", pacing.backoff(attempts, random.random())  # noqa: S311
        Delivery.objects.filter(pk=number).to(State.WAITING, reason=rule, due_at=in_seconds(wait))
        _event(number, "resent", rule).save()
    return len(marked)


def heard_of(numbers: Iterable[int]) -> set[int]:
    """Those of which news came in: they left, whatever became of their worker, and are accepted now."""
    told = Q(outcome__gt=Outcome.NONE) | ~Q(provider_id="")
    known = set(Delivery.objects.filter(told, pk__in=list(numbers)).values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=known).to(State.ACCEPTED, reason="news of it came in before its answer")
    return known


def withhold(objections: dict[int, tuple[State, str]]) -> None:
    """Due messages that must not leave go where the objection says, with its reason."""
    by: dict[tuple[State, str], list[int]] = defaultdict(list)
    for number, objection in objections.items():
        by[objection].append(number)
    for (state, why), numbers in by.items():
        rows = Delivery.objects.filter(pk__in=numbers)
        if state == State.WAITING:
            rows.update(reason=one_line(why), due_at=in_seconds(PAUSED))
        elif rows.to(state, reason=one_line(why)):
            moved = rows.filter(state=state).values_list("pk", flat=True)
            DeliveryEvent.objects.bulk_create(_event(number, state.value, why) for number in moved)


def one_line(text: str, at_most: int = 300) -> str:
    """Strangers' words made fit for a column: one line, no control characters, cut."""
    return mime.one_line(text)[:at_most]


def _taken(tried: list[Tried]) -> int:
    """The hot path: one statement. The row itself says when it was taken, and with which words."""
    if not tried:
        return 0
    values = bulk.rows(
        (one.number, one_line(result.words), one_line(result.provider_id, 200)) for one, result in tried
    )
    sources = sorted(ledger.sources(State.ACCEPTED))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Delivery._meta.db_table} SET state = %s, reason = new.words,"  # noqa: S608
            f" provider_id = new.provider, lease_until = NULL, finished_at = {now_sql()}"
            f" FROM {bulk.table(number='bigint', words='text', provider='text')}"
            f" WHERE id = new.number AND state IN ({bulk.places(sources)})",
            [State.ACCEPTED, values, *sources],
        )
        return int(cursor.rowcount)


def _later(tried: list[Tried], name: str) -> None:
    if not tried:
        return
    now = database_time()
    for one, result in tried:
        if pacing.give_up(one.first_tried_at, now, tries=one.attempts):
            _conclude(one, State.FAILED, f"given up after {one.attempts} tries: {result.words}", name)
            continue
        wait = max(pacing.backoff(one.attempts, random.random()), result.wait or 0.0)  # noqa: S311
        words = f"{result.words}; next try in {wait:.0f} s"
        _conclude(one, State.DEFERRED, words, name, due_at=in_seconds(wait))


def _untouched(tried: list[Tried], name: str) -> None:
    """Known not to have left, and not tried: as if it had not been claimed.

    Who was never tried before keeps nothing of it: neither date nor form, and no clock that runs out.
    """
    by: dict[str, list[int]] = defaultdict(list)
    for one, result in tried:
        by[result.words].append(one.number)
    for words, numbers in by.items():
        mine = Delivery.objects.filter(pk__in=numbers, claimed_by=name, state__in=MAYBE_OURS)
        back = {"reason": one_line(words), "due_at": in_seconds(AGAIN_SOON), "attempts": F("attempts") - 1}
        mine.filter(attempts__gt=1).to(State.WAITING, **back)
        mine.to(State.WAITING, first_tried_at=None, submitted_at=None, form=None, **back)


def _conclude(one: Try, state: State, why: str, name: str, **values: Any) -> None:
    mine = Delivery.objects.filter(pk=one.number, claimed_by=name)
    if mine.to(state, reason=one_line(why), **values):
        _event(one.number, state.value, why).save()


def _pace_domains(by: dict[Verdict, list[Tried]]) -> None:
    """A domain that said “later” gets its messages further apart, one that took one nearer again."""
    slow = {one.domain: result for one, result in by[Verdict.LATER] if result.about_domain}
    slowed = dict(Destination.objects.filter(gap__gt=0).values_list("domain", "gap"))
    for domain, result in sorted(slow.items(), key=itemgetter(0)):  # always in this order: no deadlock
        gap = pacing.slower(slowed.get(domain, 0.0))
        values = {"gap": gap, "why": one_line(result.words), "next_at": in_seconds(gap)}
        Destination.objects.update_or_create(domain=domain, defaults=values)
    for domain in sorted(({one.domain for one, _ in by[Verdict.TAKEN]} & slowed.keys()) - slow.keys()):
        gap = pacing.faster(slowed[domain])
        Destination.objects.filter(pk=domain).update(gap=gap, **({} if gap else {"why": ""}))


def _event(number: int, what: str, detail: str) -> DeliveryEvent:
    return DeliveryEvent(delivery_id=number, what=what, detail=one_line(detail, 500), source="worker")
