"""A worker's round: what is due goes out once, what must not go stays, what fails is recorded."""

from datetime import timedelta

import pytest
from django.template import TemplateSyntaxError
from django.utils import timezone

from contacts import consent
from contacts.models import Suppression
from letters import lifecycle, outbox, signup
from letters.models import Campaign, Delivery, DeliveryEvent, OfficePace, RelayPace
from letters.rules.ledger import State
from letters.sending import preparing, recording, recovery, rounds, writing
from letters.sending.jobs import Result, Verdict
from tests import builders
from tests.letters.sending.steps import posted, running, send_all, time_passes
from tests.relay import Fault

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    return builders.campaign()


def test_a_confirmed_letter_reaches_its_ministry_once(campaign, relay):
    delivery = posted(running(campaign))
    assert send_all() == 1
    assert send_all() == 0
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.ACCEPTED, 1)
    [(recipient, message)] = relay.accepted
    assert recipient == "cabinet@mfa.fr.example"
    assert relay.senders == [writing.bounce_address(delivery.pk)]
    assert relay.message_ids() == [delivery.message_id]
    assert b"\nTo: cabinet@mfa.fr.example\r\n" in message


def test_a_confirmation_does_not_wait_behind_a_campaign(campaign, relay):
    """Half a second a letter, and one line for each kind of mail: it has a line of its own."""
    running(campaign)
    for _ in range(4):
        posted(campaign)
    RelayPace.objects.update_or_create(name="letters", defaults={"connections": 1})
    waiting = builders.unconfirmed(campaign, email="late@people.example")
    relay.delay = 0.3
    rounds.send_due(5)
    recipients = [recipient for recipient, _ in relay.accepted]
    assert recipients.index(waiting.signer_email) < 2
    assert len(recipients) == 5


def test_a_suppressed_office_and_withdrawn_consent_are_respected(campaign, relay):
    first, second = posted(running(campaign)), posted(campaign)
    consent.withdraw(first.supporter, first.letter.purpose, wording="stop", language="fr")
    send_all()
    consent.suppress("cabinet@mfa.fr.example", reason=Suppression.Reason.ASKED)
    third = posted(campaign)
    send_all()
    states = {row.pk: row.state for row in Delivery.objects.all()}
    assert states == {first.pk: State.WITHDRAWN, second.pk: State.ACCEPTED, third.pk: State.SUPPRESSED}
    assert len(relay.accepted) == 1


def test_an_office_that_lost_its_address_holds_its_letters_until_it_has_one(campaign, relay):
    delivery = posted(running(campaign))
    delivery.office.email = ""
    delivery.office.save()
    send_all()
    delivery.refresh_from_db()
    assert delivery.state == State.HELD
    builders.office("FR", address="nouveau@mfa.fr.example")
    assert outbox.release_held() == 1
    send_all()
    assert [recipient for recipient, _ in relay.accepted] == ["nouveau@mfa.fr.example"]


def test_a_letter_too_late_to_send_expires(campaign, relay):
    delivery = posted(running(campaign))
    Campaign.objects.update(send_by=timezone.now() - timedelta(minutes=1))
    send_all()
    delivery.refresh_from_db()
    assert (delivery.state, relay.accepted) == (State.EXPIRED, [])


def test_a_permanent_refusal_is_tried_once(campaign, relay):
    relay.faults = [Fault("rcpt", "550 5.1.1 nobody here")]
    delivery = posted(running(campaign))
    send_all()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.FAILED, 1)
    assert "nobody here" in delivery.reason


def test_a_temporary_refusal_is_tried_again_later_and_later(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 greylisted", times=2)]
    delivery = posted(running(campaign))
    waits = []
    for _ in range(2):
        rounds.send_due(5)
        delivery.refresh_from_db()
        assert delivery.state == State.DEFERRED
        waits.append(delivery.due_at - timezone.now())
        Delivery.objects.update(due_at=timezone.now())
        time_passes()
    assert timedelta(seconds=30) < waits[0] < waits[1]
    rounds.send_due(5)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.ACCEPTED, 3)


def test_after_days_of_refusal_the_letter_is_given_up_with_a_reason(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 never")]
    delivery = posted(running(campaign))
    rounds.send_due(5)
    Delivery.objects.update(
        due_at=timezone.now(), first_tried_at=timezone.now() - timedelta(days=4, hours=13), attempts=20
    )
    time_passes()
    rounds.send_due(5)
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    assert delivery.reason.startswith("given up after 21 tries")


@pytest.mark.parametrize("stage", ["dot", "after"])
def test_a_lost_answer_to_the_dot_is_uncertain_and_never_sent_again_by_itself(campaign, relay, stage):
    relay.faults = [Fault(stage, times=1)]
    delivery = posted(running(campaign))
    send_all()
    delivery.refresh_from_db()
    assert delivery.state == State.UNCERTAIN
    assert send_all() == 0
    assert len(relay.accepted) == (1 if stage == "after" else 0)


def test_one_refused_letter_does_not_hold_the_others(campaign, relay):
    builders.office("BE")
    relay.faults = [Fault("rcpt", "451 4.7.1 later", recipient="mfa.fr"), Fault("data", recipient="mfa.es")]
    builders.office("ES")
    running(campaign)
    for country in ("FR", "BE", "ES", "BE"):
        posted(campaign, country=country)
    send_all()
    assert [recipient for recipient, _ in relay.accepted] == ["cabinet@mfa.be.example"] * 2


def test_a_letter_that_cannot_be_written_fails_alone_with_a_reason(campaign, relay):
    poison, sound = posted(running(campaign)), posted(campaign)
    poison.letter.asks = {"no-such-ask": 999_999}
    poison.letter.save()
    send_all()
    poison.refresh_from_db()
    sound.refresh_from_db()
    assert (poison.state, sound.state) == (State.FAILED, State.ACCEPTED)
    assert poison.reason.startswith("cannot be written")


def test_the_pace_of_an_office_spreads_its_letters(campaign, relay):
    Campaign.objects.update(per_office_hour=60)
    running(campaign)
    for _ in range(3):
        posted(campaign)
    assert [rounds.send_due(5), rounds.send_due(5)] == [1, 0]
    pace = OfficePace.objects.get()
    assert timedelta(seconds=50) < pace.next_at - timezone.now() < timedelta(seconds=73)
    OfficePace.objects.update(next_at=timezone.now())
    assert rounds.send_due(5) == 1


def test_an_offices_own_pace_counts_before_the_campaigns_and_at_once(campaign, relay):
    office = builders.office("FR")
    office.per_hour = 1
    office.save()
    running(campaign)
    for _ in range(3):
        posted(campaign)
    assert rounds.send_due(5) == 1
    assert OfficePace.objects.get().next_at - timezone.now() > timedelta(minutes=59)
    office.per_hour = 100_000
    office.save()
    OfficePace.objects.update(next_at=timezone.now())
    assert send_all() == 2


def test_a_long_queue_for_one_ministry_holds_up_no_other(campaign, relay):
    builders.office("ES")
    Campaign.objects.update(per_office_hour=1)
    running(campaign)
    for _ in range(60):  # more than a claim takes
        posted(campaign)
    posted(campaign, country="ES")
    assert rounds.send_due(5) == 2
    assert {recipient for recipient, _ in relay.accepted} == {
        "cabinet@mfa.fr.example",
        "cabinet@mfa.es.example",
    }


def test_withdrawing_one_letter_leaves_the_others_of_the_same_person(campaign, relay):
    builders.office("ES")
    running(campaign)
    first = posted(campaign, email="two@people.example")
    second = posted(campaign, email="two@people.example", country="ES")
    signup.withdraw(first.letter_id)
    send_all()
    second.refresh_from_db()
    assert second.state == State.ACCEPTED


def test_a_stale_worker_changes_nothing_of_its_successor(campaign):
    delivery = posted(running(campaign))
    [stale] = builders.claimed("first", "letters", 10)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    recovery.recover()
    recovery.settle(delivery, State.WAITING, by="test")
    time_passes()
    preparing.claim("second", "letters", 10)
    recording.record("first", [(stale, Result(Verdict.LATER, "it woke up"))])
    delivery.refresh_from_db()
    assert (delivery.state, delivery.claimed_by) == (State.SUBMITTING, "second")


def test_a_letter_deferred_in_a_cancelled_campaign_ends(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 later")]
    delivery = posted(running(campaign))
    rounds.send_due(5)
    Campaign.objects.update(sending="cancelled")
    assert outbox.close_overdue() == 1
    delivery.refresh_from_db()
    assert delivery.state == State.CANCELLED


def test_a_held_letter_too_late_to_send_expires(campaign):
    delivery = posted(running(campaign), country="DE")
    assert delivery.state == State.HELD
    Campaign.objects.update(send_by=timezone.now() - timedelta(minutes=1))
    outbox.close_overdue()
    delivery.refresh_from_db()
    assert delivery.state == State.EXPIRED


def test_a_letter_confirmed_during_the_launch_is_posted_by_itself(campaign):
    letter = builders.confirmed(campaign)
    Campaign.objects.update(sending="running")
    assert outbox.post_stragglers() == 1
    assert outbox.post_stragglers() == 0
    assert builders.delivery_of(letter).state == State.WAITING


def test_a_fault_of_our_own_gives_what_is_claimed_back(campaign, relay, monkeypatch):
    builders.office("ES")
    running(campaign)
    posted(campaign)
    posted(campaign, country="ES")
    monkeypatch.setattr("letters.sending.exchange.Exchange.work", lambda exchange: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rounds.send_due(5)
    assert set(Delivery.objects.values_list("state", "attempts")) == {(State.WAITING, 0)}


def test_a_fault_nobody_thought_of_fails_its_letter_alone(campaign, relay, monkeypatch):
    builders.office("ES")
    running(campaign)
    poison, sound = posted(campaign), posted(campaign, country="ES")
    write = writing.letter_job

    def broken(row, plan, **when):
        if row.number == poison.pk:
            raise TemplateSyntaxError("unexpected")
        return write(row, plan, **when)

    monkeypatch.setattr(writing, "letter_job", broken)
    send_all()
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {poison.pk: State.FAILED, sound.pk: State.ACCEPTED}


def test_every_try_reuses_message_id_and_bytes(campaign, relay):
    relay.faults = [Fault("after", times=1)]
    delivery = posted(running(campaign))
    send_all()
    delivery.refresh_from_db()
    assert recovery.settle(delivery, State.WAITING, by="test")
    send_all()
    [(_, first), (_, second)] = relay.accepted
    assert first == second


def test_what_happened_is_noted(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 later", times=1)]
    delivery = posted(running(campaign))
    rounds.send_due(5)
    Delivery.objects.update(due_at=timezone.now())
    send_all()
    notes = DeliveryEvent.objects.filter(delivery=delivery).values_list("what", flat=True)
    assert list(notes) == ["deferred"]  # the row itself says when it was accepted


def test_closing_equation_after_a_mixed_run(campaign, relay):
    relay.faults = [Fault("rcpt", "550 5.1.1 no", times=1), Fault("after", times=1)]
    running(campaign)
    for _ in range(6):
        posted(campaign)
    signup.withdraw(builders.confirmed(campaign).pk)
    send_all()
    sums = lifecycle.equation(campaign)
    assert sums.balanced
    assert {state: count for state, count in sums.states.items() if count} == {
        "accepted": 4, "failed": 1, "uncertain": 1, "withdrawn": 1,
    }  # fmt: skip
    with pytest.raises(lifecycle.Refused):
        lifecycle.finish(campaign, by="test")
