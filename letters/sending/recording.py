"""Records what became of a delivery. Every change of state goes through here, by the ledger's table."""

import random
from collections.abc import Iterable

from django.db.models import F
from django.db.models.functions import Coalesce, Now

from letters.models import Delivery, DeliveryEvent
from letters.models.clock import database_time
from letters.querysets import in_seconds
from letters.rules import ledger, pacing
from letters.rules.ledger import State
from letters.sending import mime
from letters.sending.smtp import SmtpError


def move(
    numbers: Iterable[int], target: State, *, reason: str = "", claim: str = "", **values: object
) -> int:
    """Moves deliveries to a state from which the table allows it; returns how many were moved.

    With `claim`, only rows of that claim: a worker whose lease ran out changes nothing of its successor's.
    """
    rows = Delivery.objects.filter(pk__in=list(numbers), state__in=ledger.sources(target))
    if claim:
        rows = rows.filter(claimed_by=claim)
    if target in ledger.FINAL:
        values["finished_at"] = Now()
    return rows.update(state=target, reason=one_line(reason), **values)


def submitting(number: int, *, claim: str, lease: float) -> bool:
    """Commits to the ledger that a message is about to leave. False when it must not any more.

    One conditional update, so that a pause, a withdrawal or another worker wins or loses cleanly.
    """
    rows = Delivery.objects.filter(pk=number, state=State.CLAIMED, claimed_by=claim, lease_until__gt=Now())
    running = rows.exclude(kind=Delivery.Kind.LETTER) | rows.filter(campaign__sending="running")
    allowed = Delivery.objects.filter(pk__in=running.values("pk"), state=State.CLAIMED, claimed_by=claim)
    return bool(
        allowed.update(
            state=State.SUBMITTING,
            attempts=F("attempts") + 1,
            submitted_at=Coalesce("submitted_at", Now()),
            first_tried_at=Coalesce("first_tried_at", Now()),
            lease_until=in_seconds(lease),
        )
    )


def accepted(delivery: Delivery, words: str) -> None:
    """The relay took the message: final, whatever was believed meanwhile and whoever claimed it since."""
    if move([delivery.pk], State.ACCEPTED, reason=words):
        _event(delivery, "accepted", words)


def refused(delivery: Delivery, error: SmtpError) -> None:
    """The relay did not take it: tried again later, given up, or in doubt, by stage and code.

    Changes nothing when the row is no longer this claim's.
    """
    if error.in_doubt:
        _conclude(delivery, State.UNCERTAIN, f"no answer to the final dot: {error.text}")
    elif error.permanent:
        fail(delivery, str(error))
    elif pacing.give_up(delivery.first_tried_at, database_time()):
        fail(delivery, f"given up after {delivery.attempts} tries: {error}")
    else:
        wait = pacing.backoff(delivery.attempts, random.random())  # noqa: S311  spreads load, no secret
        _conclude(delivery, State.DEFERRED, f"{error}; next try in {wait:.0f} s", due_at=in_seconds(wait))


def fail(delivery: Delivery, why: str) -> None:
    """This delivery alone failed, for good, with a reason. Nothing, when it is no longer this claim's."""
    _conclude(delivery, State.FAILED, why)


def _conclude(delivery: Delivery, state: State, why: str, **values: object) -> None:
    if move([delivery.pk], state, reason=why, claim=delivery.claimed_by, **values):
        _event(delivery, state.value, why)


def withhold(delivery: Delivery, state: State, why: str) -> None:
    """A claimed delivery does not leave: it goes where the objection says."""
    wait = 5 if state == State.WAITING else 0
    moved = move([delivery.pk], state, reason=why, claim=delivery.claimed_by, due_at=in_seconds(wait))
    if moved and state != State.WAITING:
        _event(delivery, str(state), why)


def one_line(text: str, at_most: int = 300) -> str:
    """Strangers' words made fit for a column: one line, no control characters, cut."""
    return mime.one_line(text)[:at_most]


def _event(delivery: Delivery, what: str, detail: str) -> None:
    DeliveryEvent.objects.create(delivery=delivery, what=what, detail=one_line(detail, 500), source="worker")
