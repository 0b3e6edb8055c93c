"""A worker's round: what is due goes out once, what must not go stays, what fails is recorded."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from contacts import consent
from contacts.models import Suppression
from letters import lifecycle, outbox, signup
from letters.models import Campaign, Delivery, DeliveryEvent, OfficePace
from letters.rules.ledger import State
from letters.sending import claiming, recording, recovery, rounds, writing
from tests import builders
from tests.relay import Fault

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    return builders.campaign()


def running(campaign: Campaign) -> Campaign:
    lifecycle.launch(campaign, by="test")
    campaign.refresh_from_db()
    return campaign


def posted(campaign: Campaign, **changes: object) -> Delivery:
    """A letter in the outbox; its confirmation mail is out of the way."""
    delivery = builders.delivery_of(builders.confirmed(campaign, **changes))
    Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION).delete()
    return delivery


def send_all() -> int:
    """Sends until nothing moves any more, whatever the pace asks for."""
    sent, before = 0, None
    while before != (now := list(Delivery.objects.order_by("pk").values_list("pk", "state"))):
        before = now
        OfficePace.objects.update(next_at=timezone.now() - timedelta(hours=1))
        Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now() - timedelta(seconds=1))
        sent += rounds.send_due(5)
    return sent


def test_a_confirmed_letter_reaches_its_ministry_once(campaign, relay):
    delivery = posted(running(campaign))
    assert send_all() == 1
    assert send_all() == 0
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.ACCEPTED, 1)
    [(recipient, message)] = relay.accepted
    assert recipient == "cabinet@mfa.fr.example"
    assert relay.senders == [writing.envelope_sender(delivery)]
    assert relay.message_ids() == [delivery.message_id]
    assert b"\nTo: cabinet@mfa.fr.example\r\n" in message


def test_a_confirmation_goes_to_the_supporter_before_any_letter(campaign, relay):
    posted(running(campaign))
    waiting = builders.unconfirmed(campaign, email="late@people.example")
    send_all()
    assert relay.accepted[0][0] == waiting.signer_email


@pytest.mark.parametrize("sending", ["paused", "draft", "cancelled"])
def test_nothing_leaves_while_the_campaign_does_not_run(campaign, relay, sending):
    posted(running(campaign))
    Campaign.objects.update(sending=sending)
    assert send_all() == 0
    assert relay.accepted == []


def test_a_pause_between_claim_and_sending_wins(campaign, relay):
    delivery = posted(running(campaign))
    name, [number] = claiming.claim(10)
    lifecycle.pause(campaign, by="test")
    rounds._send(number, name)
    delivery.refresh_from_db()
    assert delivery.state == State.WAITING
    assert relay.accepted == []


def test_a_withdrawal_between_claim_and_sending_wins(campaign, relay):
    delivery = posted(running(campaign))
    name, [number] = claiming.claim(10)
    signup.withdraw(delivery.letter_id)
    assert not rounds._send(number, name)
    delivery.refresh_from_db()
    assert delivery.state == State.WITHDRAWN
    assert relay.accepted == []


def test_a_pause_after_the_objections_still_wins_at_the_ledger(campaign):
    delivery = posted(running(campaign))
    name, [number] = claiming.claim(10)
    Campaign.objects.update(sending="paused")
    assert not recording.submitting(number, claim=name, lease=60)
    delivery.refresh_from_db()
    assert delivery.state == State.CLAIMED


def test_a_letter_that_is_being_sent_can_no_longer_be_withdrawn(campaign):
    delivery = posted(running(campaign))
    name, [number] = claiming.claim(10)
    assert recording.submitting(number, claim=name, lease=60)
    with pytest.raises(signup.AlreadySent):
        signup.withdraw(delivery.letter_id)


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
        OfficePace.objects.update(next_at=timezone.now())
    assert timedelta(seconds=30) < waits[0] < waits[1]
    rounds.send_due(5)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.ACCEPTED, 3)


def test_after_days_of_refusal_the_letter_is_given_up_with_a_reason(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 never")]
    delivery = posted(running(campaign))
    rounds.send_due(5)
    Delivery.objects.update(
        due_at=timezone.now(), first_tried_at=timezone.now() - timedelta(days=4, hours=13)
    )
    OfficePace.objects.update(next_at=timezone.now())
    rounds.send_due(5)
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    assert delivery.reason.startswith("given up after 2 tries")


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
    for _ in range(5):
        posted(campaign)
    assert rounds.send_due(5) == 1
    due = sorted(Delivery.objects.filter(state=State.WAITING).values_list("due_at", flat=True))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(due)]
    assert len(due) == 4
    assert gaps == pytest.approx([60, 60, 60], abs=1)


def test_an_offices_own_pace_counts_before_the_campaigns(campaign, relay):
    office = builders.office("FR")
    office.per_hour = 1
    office.save()
    running(campaign)
    for _ in range(3):
        posted(campaign)
    assert rounds.send_due(5) == 1
    last = Delivery.objects.filter(state=State.WAITING).order_by("-due_at").first()
    assert last.due_at - timezone.now() > timedelta(minutes=115)


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
    assert list(notes) == ["deferred", "accepted"]


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
