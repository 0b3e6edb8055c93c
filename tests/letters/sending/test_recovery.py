"""Workers that go silent: rows come back or become uncertain by themselves; people settle the doubt."""

from datetime import timedelta

import pytest
from django.utils import timezone

from letters import lifecycle
from letters.models import Campaign, Delivery, DeliveryEvent, OfficePace
from letters.rules.ledger import Outcome, State, TransitionError
from letters.sending import journal, recording, recovery
from letters.sending.jobs import Result, Try, Verdict
from letters.sending.journal import Journal
from tests import builders
from tests.letters.sending.steps import claimed, died, silence, state_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    row = builders.campaign()
    lifecycle.launch(row, by="test")
    return row


def test_without_a_journal_what_was_being_submitted_becomes_uncertain_and_says_so(campaign):
    delivery = claimed(campaign)
    silence()
    assert recovery.recover() == (0, 1)
    assert state_of(delivery) == State.UNCERTAIN
    assert DeliveryEvent.objects.get(delivery=delivery).what == "uncertain"
    assert recovery.recover() == (0, 0)


def test_a_journal_gives_back_what_had_no_dot_at_once_and_as_untried(campaign):
    delivery = claimed(campaign)
    died()
    assert recovery.recover() == (1, 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.WAITING, 0)
    assert journal.all_files() == []


def test_a_journal_leaves_in_doubt_only_what_lies_between_dot_and_answer(campaign):
    first, second, third = claimed(campaign), claimed(campaign), claimed(campaign)
    died(**{f"d{first.pk}": Result(Verdict.TAKEN, "2.0.0 queued"), f"d{second.pk}": None})
    assert recovery.recover() == (1, 1)
    assert [state_of(one) for one in (first, second, third)] == [
        State.ACCEPTED,
        State.UNCERTAIN,
        State.WAITING,
    ]
    first.refresh_from_db()
    assert first.reason == "2.0.0 queued"


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (Result(Verdict.REFUSED, "rcpt: 550 5.1.1 no"), State.FAILED),
        (Result(Verdict.LATER, "rcpt: 451 4.7.1 later"), State.DEFERRED),
        (Result(Verdict.DOUBT, "no answer to the final dot"), State.UNCERTAIN),
    ],
)
def test_what_the_relay_had_said_is_recorded_from_the_journal(campaign, result, state):
    delivery = claimed(campaign)
    died(**{f"d{delivery.pk}": result})
    recovery.recover()
    assert state_of(delivery) == state


def test_a_journal_found_after_the_lease_still_ends_the_doubt(campaign):
    first, second = claimed(campaign), claimed(campaign)
    silence()
    assert recovery.recover() == (0, 2)
    died(**{f"d{first.pk}": Result(Verdict.TAKEN, "2.0.0 queued")})
    assert recovery.recover() == (1, 0)
    assert [state_of(first), state_of(second)] == [State.ACCEPTED, State.WAITING]


def test_a_journal_of_another_boot_proves_only_what_stands_in_it(campaign, monkeypatch):
    first, second = claimed(campaign), claimed(campaign)
    died(**{f"d{first.pk}": Result(Verdict.TAKEN, "2.0.0 queued")})
    monkeypatch.setattr(journal, "_boot", lambda: "another")
    assert recovery.recover() == (0, 1)
    assert [state_of(first), state_of(second)] == [State.ACCEPTED, State.UNCERTAIN]


def test_a_journal_says_nothing_of_what_another_worker_claimed_since(campaign):
    delivery = claimed(campaign)
    Delivery.objects.update(claimed_by="successor")
    died()
    assert recovery.recover() == (0, 0)
    assert state_of(delivery) == State.SUBMITTING


def test_a_worker_that_lives_keeps_its_journal_and_its_rows(campaign):
    delivery, mine = claimed(campaign), Journal("worker")
    assert recovery.recover() == (0, 0)
    assert state_of(delivery) == State.SUBMITTING
    mine.close(settled=True)


def test_where_the_campaign_says_so_it_is_sent_again(campaign):
    Campaign.objects.update(doubt=Campaign.Doubt.RESEND)
    delivery = claimed(campaign)
    died(**{f"d{delivery.pk}": None})
    recovery.recover()
    assert state_of(delivery) == State.WAITING
    assert [event.what for event in delivery.events.all()] == ["uncertain", "resent"]


@pytest.mark.parametrize("doubt", [Campaign.Doubt.HOLD, Campaign.Doubt.RESEND])
@pytest.mark.parametrize("news", [{"outcome": Outcome.REPLIED}, {"provider_id": "p-1"}])
@pytest.mark.parametrize("told_by", ["lease", "journal"])
def test_news_that_came_in_meanwhile_leaves_no_doubt(campaign, doubt, news, told_by):
    Campaign.objects.update(doubt=doubt)
    delivery = claimed(campaign)
    Delivery.objects.filter(pk=delivery.pk).update(**news)
    if told_by == "lease":
        silence()
    else:
        died(**{f"d{delivery.pk}": None})
    recovery.recover()
    assert state_of(delivery) == State.ACCEPTED


def test_a_250_read_late_is_final_all_the_same(campaign):
    delivery = claimed(campaign)
    silence()
    recovery.recover()
    job = Try(delivery.pk, 1, None, "mfa.fr.example", campaign.pk)
    recording.record("worker", [(job, Result(Verdict.TAKEN, "2.0.0 taken"))])
    assert state_of(delivery) == State.ACCEPTED


@pytest.mark.parametrize("target", [State.ACCEPTED, State.FAILED, State.WAITING])
def test_a_person_settles_the_doubt_once(campaign, target):
    delivery = claimed(campaign)
    silence()
    recovery.recover()
    assert recovery.settle(delivery, target, by="Ines")
    assert not recovery.settle(delivery, State.FAILED, by="Omar")
    assert state_of(delivery) == target
    assert delivery.events.last().detail == f"{target} by Ines"


def test_a_person_may_put_the_decision_off_and_that_is_noted(campaign):
    delivery = claimed(campaign)
    silence()
    recovery.recover()
    assert recovery.settle(delivery, None, by="Ines")
    assert state_of(delivery) == State.UNCERTAIN
    assert delivery.events.last().detail == "wait by Ines"
    assert recovery.settle(delivery, State.ACCEPTED, by="Omar")


@pytest.mark.parametrize("target", [State.SUPPRESSED, State.HELD, State.SUBMITTING])
def test_no_other_way_out_of_a_doubt(campaign, target):
    delivery = claimed(campaign)
    with pytest.raises(TransitionError):
        recovery.settle(delivery, target, by="Ines")


def test_a_state_is_never_written_past_the_table(campaign):
    claimed(campaign)
    with pytest.raises(TypeError, match="to"):
        Delivery.objects.update(state=State.ACCEPTED)


def test_two_claims_never_share_a_row(campaign):
    for _ in range(4):
        builders.confirmed(campaign)
    first = {job.number for job in builders.claimed("first", "letters", 3)}
    OfficePace.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    second = {job.number for job in builders.claimed("second", "letters", 50)}
    assert first
    assert second
    assert first.isdisjoint(second)
