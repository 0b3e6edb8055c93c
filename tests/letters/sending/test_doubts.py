"""What may have left: sent again once at most, and believed as soon as anything tells of it."""

from datetime import timedelta

import pytest
from anymail.signals import AnymailTrackingEvent
from django.utils import timezone

from letters import tracking
from letters.models import Campaign, Delivery
from letters.rules.ledger import Outcome, State
from letters.sending import journal, recording, recovery, rounds
from letters.sending.jobs import Result, Verdict
from tests import builders
from tests.letters.sending.steps import (
    claimed,
    died,
    posted,
    running,
    send_all,
    silence,
    state_of,
    time_passes,
)
from tests.relay import Fault

pytestmark = pytest.mark.django_db
QUEUED = Result(Verdict.TAKEN, "2.0.0 queued as 4F2")
LOST = Result(Verdict.DOUBT, "no answer to the final dot")


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    return running(builders.campaign(doubt=Campaign.Doubt.HOLD))


@pytest.fixture
def sending_again(campaign) -> Campaign:
    """The same campaign, which sends again what is in doubt."""
    Campaign.objects.update(doubt=Campaign.Doubt.RESEND)
    campaign.refresh_from_db()
    return campaign


def delivered(delivery: Delivery) -> bool:
    """A provider's webhook tells that a message arrived."""
    return tracking.told(
        "Postmark",
        AnymailTrackingEvent(
            event_type="delivered",
            event_id="e1",
            message_id=delivery.message_id,
            recipient=delivery.recipient,
            metadata={},
            esp_event={},
            timestamp=None,
        ),
    )


# Sent again


def test_a_letter_in_doubt_waits_before_it_is_sent_again(sending_again, relay):
    relay.faults = [Fault("after", times=1)]
    delivery = posted(sending_again)
    rounds.send_due(5)
    assert state_of(delivery) == State.WAITING
    assert delivery.due_at - timezone.now() > timedelta(seconds=30)
    assert len(relay.accepted) == 1
    assert send_all() == 1
    assert state_of(delivery) == State.ACCEPTED


@pytest.mark.parametrize("stage", ["dot", "after"])
def test_however_often_its_answer_is_lost_a_letter_is_sent_again_once(sending_again, relay, stage):
    relay.faults = [Fault(stage)]
    delivery = posted(sending_again)
    for _ in range(4):
        send_all()
    assert state_of(delivery) == State.UNCERTAIN
    assert len(relay.logged("body")) == 2
    assert [event.what for event in delivery.events.order_by("pk")] == ["uncertain", "resent", "uncertain"]


def test_workers_that_keep_dying_do_not_send_a_letter_for_ever(sending_again):
    delivery = claimed(sending_again)
    silence()
    assert recovery.recover() == (0, 1)
    assert state_of(delivery) == State.WAITING
    time_passes()
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    assert len(builders.claimed("second", "letters", 5)) == 1
    silence()
    recovery.recover()
    assert state_of(delivery) == State.UNCERTAIN


def test_a_confirmation_in_doubt_is_never_sent_again_by_itself(sending_again, relay):
    relay.faults = [Fault("after")]
    letter = builders.unconfirmed(sending_again, email="omar@people.example")
    mail = Delivery.objects.get(letter=letter, kind=Delivery.Kind.CONFIRMATION)
    for _ in range(3):
        send_all()
    assert [recipient for recipient, _ in relay.accepted] == ["omar@people.example"]
    assert state_of(mail) == State.UNCERTAIN


# News


@pytest.mark.parametrize("doubt", list(Campaign.Doubt))
def test_news_that_came_while_the_answer_was_lost_settle_the_letter(campaign, relay, monkeypatch, doubt):
    Campaign.objects.update(doubt=doubt)
    delivery = posted(campaign)
    relay.faults = [Fault("after", hang=0.3, times=1)]
    look, news = rounds.Round._look, []

    def looking(round_: rounds.Round, *, late: bool) -> None:
        if relay.accepted and not news:
            news.append(delivered(delivery))
        look(round_, late=late)

    monkeypatch.setattr(rounds.Round, "_look", looking)
    rounds.send_due(5)
    assert news == [True]
    assert (state_of(delivery), delivery.outcome) == (State.ACCEPTED, Outcome.DELIVERED)
    assert not delivery.events.filter(what__in=["uncertain", "resent"]).exists()
    send_all()
    assert len(relay.accepted) == 1


@pytest.mark.parametrize("doubt", list(Campaign.Doubt))
@pytest.mark.parametrize("news", [{"outcome": Outcome.BOUNCED_SOFT}, {"provider_id": "p-1"}])
def test_whatever_news_they_were_no_doubt_is_recorded(campaign, doubt, news):
    Campaign.objects.update(doubt=doubt)
    known, unknown = claimed(campaign), claimed(campaign)
    Delivery.objects.filter(pk=known.pk).update(**news)
    jobs = {one.pk: recovery.Try(one.pk, 1, None, "mfa.fr.example", None) for one in (known, unknown)}
    recording.record("worker", [(job, LOST) for job in jobs.values()])
    assert state_of(known) == State.ACCEPTED
    assert state_of(unknown) == (State.UNCERTAIN if doubt == Campaign.Doubt.HOLD else State.WAITING)


@pytest.mark.parametrize("doubt", list(Campaign.Doubt))
@pytest.mark.parametrize("told_by", ["lease", "journal"])
def test_news_of_a_letter_whose_worker_died_settle_it(campaign, doubt, told_by):
    Campaign.objects.update(doubt=doubt)
    delivery = claimed(campaign)
    assert delivered(delivery)
    if told_by == "lease":
        silence()
    else:
        died("worker", **{f"d{delivery.pk}": None})
    assert recovery.recover() == (0, 0)
    assert (state_of(delivery), delivery.outcome) == (State.ACCEPTED, Outcome.DELIVERED)


# Journals


def test_what_a_journal_says_was_taken_is_taken_though_it_was_to_be_sent_again(sending_again, relay):
    delivery = claimed(sending_again)
    silence()
    recovery.recover()
    assert state_of(delivery) == State.WAITING
    died("worker", **{f"d{delivery.pk}": QUEUED})
    recovery.recover()
    assert (state_of(delivery), delivery.reason) == (State.ACCEPTED, QUEUED.words)
    send_all()
    assert relay.accepted == []


def test_what_a_journal_says_was_taken_is_taken_though_another_worker_has_it(sending_again):
    delivery = claimed(sending_again)
    silence()
    recovery.recover()
    time_passes()
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    [job] = builders.claimed("successor", "letters", 5)
    died("worker", **{f"d{delivery.pk}": QUEUED})
    recovery.recover()
    assert state_of(delivery) == State.ACCEPTED
    recording.record("successor", [(job, Result(Verdict.LATER, "rcpt: 451 4.7.1 later"))])
    assert (state_of(delivery), delivery.reason) == (State.ACCEPTED, QUEUED.words)


@pytest.mark.parametrize("said", [LOST, Result(Verdict.REFUSED, "rcpt: 550 5.1.1 no"), None])
def test_anything_else_that_a_journal_says_counts_only_for_its_own_claims(campaign, said):
    delivery = claimed(campaign, "successor")
    died("worker", **{f"d{delivery.pk}": said})
    recovery.recover()
    assert (state_of(delivery), delivery.claimed_by) == (State.SUBMITTING, "successor")


def directory_in_the_way() -> None:
    (journal.home() / f"a-folder{journal.ENDING}").mkdir(parents=True)


def number_beyond_all_columns() -> None:
    died("a-number", **{f"d{10**30}": QUEUED})


def bytes_of_a_dying_disk() -> None:
    path = journal.home() / f"a-noise{journal.ENDING}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(256)) * 20)


@pytest.mark.parametrize("make", [directory_in_the_way, number_beyond_all_columns, bytes_of_a_dying_disk])
def test_a_journal_that_cannot_be_read_keeps_nobody_from_the_others(campaign, make):
    noted, silent = claimed(campaign, "z-worker"), claimed(campaign, "no-journal")
    make()
    died("z-worker", **{f"d{noted.pk}": QUEUED})
    silence()
    recovery.recover()
    assert [state_of(noted), state_of(silent)] == [State.ACCEPTED, State.UNCERTAIN]


def test_a_journal_that_cannot_be_settled_stays_for_the_next(campaign, monkeypatch, caplog):
    stuck, noted, silent = (claimed(campaign, name) for name in ("a-worker", "z-worker", "no-journal"))
    died("a-worker", **{f"d{stuck.pk}": QUEUED})
    died("z-worker", **{f"d{noted.pk}": QUEUED})
    Delivery.objects.filter(pk=silent.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    record = recording.record

    def choosy(name, tried):
        if name == "a-worker":
            raise ZeroDivisionError
        return record(name, tried)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "record", choosy)
        assert recovery.recover() == (0, 1)
    assert [state_of(one) for one in (stuck, noted, silent)] == [
        State.SUBMITTING,
        State.ACCEPTED,
        State.UNCERTAIN,
    ]
    assert "a-worker.journal could not be settled" in caplog.text
    recovery.recover()
    assert state_of(stuck) == State.ACCEPTED
    assert journal.all_files() == []
