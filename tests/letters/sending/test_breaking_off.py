"""A round that breaks off in the middle sends nothing twice, and forgets nothing that a relay took."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.utils import timezone

from letters.models import Campaign, Delivery
from letters.rules.ledger import State
from letters.sending import journal, recording, recovery, rounds, transport
from letters.sending.jobs import Result, Verdict
from tests import builders
from tests.letters.sending.steps import posted, running, send_all, time_passes
from tests.relay import Fault

pytestmark = pytest.mark.django_db
COUNTRIES = ("FR", "BE", "ES")


class Broke(Exception):
    """What nobody thought of, in the middle of a round."""


@pytest.fixture
def campaign(db) -> Campaign:
    """A running campaign that keeps what is in doubt for a person."""
    for country in COUNTRIES:
        builders.office(country)
    return running(builders.campaign(doubt=Campaign.Doubt.HOLD))


@contextlib.contextmanager
def breaking_when(monkeypatch: pytest.MonkeyPatch, condition: Callable[[], Any]) -> Iterator[None]:
    """Rounds that are sent meanwhile break off between two looks, as soon as something is so."""
    look = rounds.Round._look

    def broken(round_: rounds.Round, *, late: bool) -> None:
        if condition():
            raise Broke
        look(round_, late=late)

    with monkeypatch.context() as patched:
        patched.setattr(rounds.Round, "_look", broken)
        yield


@contextlib.contextmanager
def unable_to_record(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> Iterator[None]:
    """The database refuses every result that it is told meanwhile."""

    def refuse(name: str, tried: Any) -> int:
        raise error("not now")

    with monkeypatch.context() as patched:
        patched.setattr(recording, "record", refuse)
        patched.setattr(rounds, "PATIENCE", 0.2)
        yield


def due_again() -> None:
    time_passes()
    waiting = Delivery.objects.filter(state__in=[State.WAITING, State.DEFERRED])
    waiting.update(due_at=timezone.now() - timedelta(seconds=1))


def kept() -> tuple[int, int]:
    """What waits in, and what is on the lines of, the exchange that this thread keeps."""
    exchange = transport.lines().exchanges["letters"]
    return exchange.waiting, exchange.flying


@pytest.mark.parametrize("hang", [0.0, 0.3], ids=["broke before", "breaks while it is left"])
def test_a_letter_that_was_put_back_is_not_kept_for_the_next_round(campaign, relay, monkeypatch, hang):
    delivery = posted(campaign)
    relay.faults = [Fault("mail", hang=hang, times=2)]
    with breaking_when(monkeypatch, lambda: relay.logged("mail")), pytest.raises(Broke):
        rounds.send_due(5)
    assert kept() == (0, 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.WAITING, 0)


def test_what_another_worker_has_by_now_is_left_to_it(campaign, relay, monkeypatch):
    delivery = posted(campaign)
    relay.faults = [Fault("mail", hang=0.3, times=1)]
    with breaking_when(monkeypatch, lambda: relay.logged("mail")), pytest.raises(Broke):
        rounds.send_due(5)
    due_again()
    [job] = builders.claimed("another", "letters", 5)
    assert job.number == delivery.pk
    assert rounds.send_due(1) == 0
    assert relay.accepted == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.claimed_by) == (State.SUBMITTING, "another")


@pytest.mark.django_db(transaction=True)
def test_after_it_broke_off_two_workers_together_send_the_letter_once(campaign, relay, monkeypatch):
    delivery = posted(campaign)
    relay.faults = [Fault("mail", hang=0.3, times=1)]
    with breaking_when(monkeypatch, lambda: relay.logged("mail")), pytest.raises(Broke):
        rounds.send_due(5)
    due_again()
    builders.at_once(another_worker, another_worker)
    rounds.send_due(1)
    assert relay.message_ids() == [delivery.message_id]


def another_worker() -> int:
    """A round in a thread of its own."""
    try:
        return rounds.send_due(3)
    finally:
        transport.hang_up()


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("mail", hang=0.2, times=2)],
        [Fault("data", hang=0.2, times=2)],
        [Fault("dot", hang=0.2, times=2)],
        [Fault("after", hang=0.2, times=2), Fault("mail", times=2)],
    ],
    ids=lambda faults: faults[0].stage,
)
def test_however_often_rounds_break_off_no_ministry_gets_a_letter_twice(campaign, relay, monkeypatch, faults):
    def far(already: int) -> bool:
        return len(relay.log) > already + 6

    relay.delay = 0.05
    for country in COUNTRIES * 3:
        posted(campaign, country=country)
    for fault in faults:
        relay.faults.append(fault)
        already = len(relay.log)
        due_again()
        with breaking_when(monkeypatch, partial(far, already)), pytest.raises(Broke):
            rounds.send_due(5)
        assert kept() == (0, 0)
    for _ in range(2):  # what was deferred is due only then
        due_again()
        send_all()
    counted = Counter(relay.message_ids())
    assert set(counted.values()) == {1}
    states = Counter(Delivery.objects.values_list("state", flat=True))
    assert states[State.ACCEPTED] + states[State.UNCERTAIN] == 9
    assert states[State.ACCEPTED] <= len(counted)
    assert journal.all_files() == []


@pytest.mark.parametrize(("stage", "state"), [("mail", State.WAITING), ("dot", State.UNCERTAIN)])
def test_a_line_that_hangs_longer_than_patience_lasts_is_cut(campaign, relay, monkeypatch, stage, state):
    delivery = posted(campaign)
    relay.faults = [Fault(stage, hang=5.0, times=1)]
    monkeypatch.setattr(rounds, "PATIENCE", 0.2)
    reached = "mail" if stage == "mail" else "body"
    with breaking_when(monkeypatch, lambda: relay.logged(reached)), pytest.raises(Broke):
        rounds.send_due(5)
    assert kept() == (0, 0)
    delivery.refresh_from_db()
    assert delivery.state == state


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [InternalError, OperationalError, InterfaceError, DataError])
def test_what_the_relay_took_is_accepted_once_the_database_listens_again(campaign, relay, monkeypatch, error):
    delivery = posted(campaign)
    with unable_to_record(monkeypatch, error), pytest.raises(error):
        rounds.send_due(2)
    assert relay.message_ids() == [delivery.message_id]
    Delivery.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert recovery.recover() == (0, 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (State.ACCEPTED, "2.0.0 taken")
    assert not delivery.events.filter(what="uncertain").exists()
    assert journal.all_files() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [InternalError, DataError])
def test_one_result_that_cannot_be_recorded_keeps_none_of_the_others(campaign, relay, monkeypatch, error):
    for country in COUNTRIES:
        posted(campaign, country=country)
    record, poison = recording.record, []

    def choosy(name: str, tried: Any) -> int:
        numbers = [one.number for one, _ in tried]
        poison.extend([] if poison else numbers[:1])  # the first of all
        if set(poison) & set(numbers):
            raise error("not this one")
        return record(name, tried)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "record", choosy)
        patched.setattr(rounds, "PATIENCE", 0.2)
        with pytest.raises(error):
            rounds.send_due(2)
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states.pop(poison[0]) == State.SUBMITTING
    assert list(states.values()) == [State.ACCEPTED] * 2
    recovery.recover()
    assert Delivery.objects.get(pk=poison[0]).state == State.ACCEPTED


def test_a_providers_number_that_no_column_takes_sinks_no_batch(campaign):
    for country in COUNTRIES:
        posted(campaign, country=country)
    jobs = builders.claimed("worker", "letters", 5)
    assert len(jobs) == 3
    ids = ["p-1", "p\x00-2", "p" * 5000]
    tried = [
        (job, Result(Verdict.TAKEN, "OK", provider_id=number)) for job, number in zip(jobs, ids, strict=True)
    ]
    assert recording.record("worker", tried) == 3
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED}
    assert Delivery.objects.filter(provider_id="p-1").exists()
