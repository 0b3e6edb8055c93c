"""Letters that were claimed and not offered are as they were before; what is remembered ends in time."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from letters.models import Campaign, Delivery, Destination, RelayPace
from letters.rules import pacing
from letters.rules.ledger import State
from letters.sending import facts, forms, recording, rounds
from letters.sending.jobs import Result, Try, Verdict
from tests import builders
from tests.letters.sending.steps import posted, running, send_all, time_passes
from tests.relay import Fault

pytestmark = pytest.mark.django_db
UNTOUCHED = Result(Verdict.UNTOUCHED, "its campaign does not run any more")
LATER = "451 4.7.1 greylisted"
TODAY = date(2026, 9, 1)


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    return running(builders.campaign())


def given_back(delivery: Delivery) -> None:
    """A worker claims the letter, and does not come so far as to offer it."""
    time_passes()
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    [job] = builders.claimed("worker", "letters", 5)
    recording.record("worker", [(job, UNTOUCHED)])
    delivery.refresh_from_db()


# Tries


def test_what_was_not_offered_at_its_first_try_is_as_it_was_before(campaign):
    delivery = posted(campaign)
    given_back(delivery)
    assert (delivery.state, delivery.attempts) == (State.WAITING, 0)
    assert (delivery.first_tried_at, delivery.submitted_at, delivery.form_id) == (None, None, None)


def test_what_was_offered_before_keeps_its_date_and_its_words(campaign, relay):
    relay.faults = [Fault("rcpt", LATER, times=1)]
    delivery = posted(campaign)
    rounds.send_due(5)
    delivery.refresh_from_db()
    before = delivery.first_tried_at, delivery.submitted_at, delivery.form_id
    assert None not in before
    given_back(delivery)
    assert (delivery.state, delivery.attempts) == (State.WAITING, 1)
    assert (delivery.first_tried_at, delivery.submitted_at, delivery.form_id) == before


def test_a_letter_is_not_given_up_for_a_week_in_which_nobody_offered_it(campaign, relay):
    """It was claimed when the campaign was paused; a week later its ministry greylists it."""
    delivery = posted(campaign)
    given_back(delivery)
    a_week_ago = timezone.now() - timedelta(days=7)
    Delivery.objects.exclude(first_tried_at=None).update(first_tried_at=a_week_ago)
    Delivery.objects.update(due_at=a_week_ago)
    relay.faults = [Fault("rcpt", LATER, times=1)]
    time_passes()
    rounds.send_due(5)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.DEFERRED, 1)
    send_all()
    time_passes()
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert rounds.send_due(5) == 1


def test_a_letter_that_was_refused_once_a_week_ago_is_asked_for_some_times_more(campaign, relay):
    relay.faults = [Fault("rcpt", LATER)]
    delivery = posted(campaign)
    states = []
    for _ in range(pacing.TRIES_AT_LEAST):
        time_passes()
        Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        rounds.send_due(5)
        Delivery.objects.update(first_tried_at=timezone.now() - timedelta(days=7))
        delivery.refresh_from_db()
        states.append(delivery.state)
    assert states == [*[State.DEFERRED] * (pacing.TRIES_AT_LEAST - 1), State.FAILED]


# Trouble


def test_a_letter_that_is_taken_says_nothing_of_the_supporters_relay(campaign, relay):
    for name in ("letters", "supporters"):
        RelayPace.objects.update_or_create(name=name, defaults={"trouble": "auth: 535 5.7.8 wrong"})
    posted(campaign)
    time_passes()
    assert rounds.send_due(5) == 1
    troubles = dict(RelayPace.objects.values_list("name", "trouble"))
    assert troubles == {"letters": "", "supporters": "auth: 535 5.7.8 wrong"}


def test_a_confirmation_that_is_taken_ends_the_supporters_trouble_alone(campaign, relay):
    for name in ("letters", "supporters"):
        RelayPace.objects.update_or_create(name=name, defaults={"trouble": "auth: 535 5.7.8 wrong"})
    builders.unconfirmed(campaign)
    time_passes()
    assert rounds.send_due(5) == 1
    troubles = dict(RelayPace.objects.values_list("name", "trouble"))
    assert troubles == {"letters": "auth: 535 5.7.8 wrong", "supporters": ""}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
@pytest.mark.django_db(transaction=True)
def test_workers_that_slow_the_same_domains_down_do_not_wait_for_each_other(monkeypatch):
    domains = ["mfa.a.example", "mfa.b.example"]
    Destination.objects.bulk_create(Destination(domain=domain, gap=2.0) for domain in domains)
    slower = pacing.slower

    def slow_to_say(gap: float) -> float:
        time.sleep(0.3)
        return slower(gap)

    monkeypatch.setattr(pacing, "slower", slow_to_say)
    later = Result(Verdict.LATER, "rcpt: 451 4.7.1 later", about_domain=True)

    def told(order: list[str]) -> int:
        tries = [Try(0, 1, timezone.now(), domain, None) for domain in order]
        return recording.record("worker", [(one, later) for one in tries])

    assert builders.at_once(lambda: told(domains), lambda: told(domains[::-1])) == [0, 0]
    assert {gap for (gap,) in Destination.objects.values_list("gap")} == {4.0}


# Forms


@pytest.fixture
def clock(monkeypatch) -> Iterator[SimpleNamespace]:
    """The clock of the forms; `now` may be moved."""
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(forms, "time", SimpleNamespace(monotonic=lambda: found.now))
    yield found
    forms.forget()


def plan_of(delivery: Delivery, today: date = TODAY) -> object:
    [row] = facts.letters([delivery.pk])
    row.form = None
    found, impossible = forms.plans([row], today=today)
    assert not impossible
    return found[delivery.pk]


def test_forms_that_are_made_anew_for_days_take_no_more_room(campaign, clock):
    delivery = posted(campaign)
    found = []
    for _ in range(12):
        found.append(plan_of(delivery))
        clock.now += forms.KEPT_SECONDS + 1
    assert len({id(plan) for plan in found}) == 1
    assert [len(known) for known in forms._by_office.values()] == [1]
    assert len(forms._by_number) == 1


def test_within_their_time_forms_are_not_made_again(campaign, clock, django_assert_num_queries):
    first, second = posted(campaign), posted(campaign)
    plan = plan_of(first)
    clock.now += forms.KEPT_SECONDS - 1
    with django_assert_num_queries(3):  # the facts of letter, campaign and office
        assert plan_of(second) is plan


def test_the_forms_of_yesterday_are_forgotten(campaign, clock):
    delivery = posted(campaign)
    for day in range(5):
        plan_of(delivery, TODAY + timedelta(days=day))
        clock.now += 86_400
    [(*_, kept)] = forms._by_office
    assert kept == TODAY + timedelta(days=4)
