"""Workers that go silent: rows come back or become uncertain by themselves; people settle the doubt."""

from datetime import timedelta

import pytest
from django.utils import timezone

from letters import lifecycle
from letters.models import Campaign, Delivery, DeliveryEvent
from letters.rules.ledger import Outcome, State
from letters.sending import claiming, recording, recovery
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    row = builders.campaign()
    lifecycle.launch(row, by="test")
    return row


def claimed(campaign: Campaign) -> tuple[Delivery, str]:
    delivery = builders.delivery_of(builders.confirmed(campaign))
    Delivery.objects.filter(kind="confirmation").delete()
    name, [number] = claiming.claim(5)
    assert number == delivery.pk
    return delivery, name


def silence() -> None:
    """The worker of all leases is dead for longer than they last."""
    Delivery.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_row_that_had_not_left_waits_again(campaign):
    delivery, _ = claimed(campaign)
    silence()
    assert recovery.recover() == (1, 0)
    delivery.refresh_from_db()
    assert delivery.state == State.WAITING


def test_a_row_in_submission_becomes_uncertain_and_says_so(campaign):
    delivery, name = claimed(campaign)
    recording.submitting(delivery.pk, claim=name, lease=60)
    silence()
    assert recovery.recover() == (0, 1)
    delivery.refresh_from_db()
    assert delivery.state == State.UNCERTAIN
    assert DeliveryEvent.objects.get(delivery=delivery).what == "uncertain"
    assert recovery.recover() == (0, 0)


def test_where_the_campaign_says_so_it_is_sent_again(campaign):
    Campaign.objects.update(doubt=Campaign.Doubt.RESEND)
    delivery, name = claimed(campaign)
    recording.submitting(delivery.pk, claim=name, lease=60)
    silence()
    recovery.recover()
    delivery.refresh_from_db()
    assert delivery.state == State.WAITING
    assert [event.what for event in delivery.events.all()] == ["uncertain", "resent"]


@pytest.mark.parametrize("doubt", [Campaign.Doubt.HOLD, Campaign.Doubt.RESEND])
def test_news_that_came_in_before_the_lease_ran_out_leaves_no_doubt(campaign, doubt):
    Campaign.objects.update(doubt=doubt)
    delivery, name = claimed(campaign)
    recording.submitting(delivery.pk, claim=name, lease=60)
    Delivery.objects.filter(pk=delivery.pk).update(outcome=Outcome.REPLIED)
    silence()
    recovery.recover()
    delivery.refresh_from_db()
    assert delivery.state == State.ACCEPTED


def test_a_living_lease_is_left_alone(campaign):
    delivery, _ = claimed(campaign)
    assert recovery.recover() == (0, 0)
    delivery.refresh_from_db()
    assert delivery.state == State.CLAIMED


def test_a_worker_that_wakes_up_late_does_not_send(campaign):
    delivery, name = claimed(campaign)
    silence()
    assert not recording.submitting(delivery.pk, claim=name, lease=60)


def test_a_250_read_late_is_final_all_the_same(campaign):
    delivery, name = claimed(campaign)
    recording.submitting(delivery.pk, claim=name, lease=60)
    silence()
    recovery.recover()
    recording.accepted(delivery, "2.0.0 taken")
    delivery.refresh_from_db()
    assert delivery.state == State.ACCEPTED


@pytest.mark.parametrize("target", [State.ACCEPTED, State.FAILED, State.WAITING])
def test_a_person_settles_the_doubt_once(campaign, target):
    delivery, name = claimed(campaign)
    recording.submitting(delivery.pk, claim=name, lease=60)
    silence()
    recovery.recover()
    assert recovery.settle(delivery, target, by="Ines")
    assert not recovery.settle(delivery, State.FAILED, by="Omar")
    delivery.refresh_from_db()
    assert delivery.state == target
    assert delivery.events.last().detail == f"{target} by Ines"


def test_two_claims_never_share_a_row(campaign):
    for _ in range(4):
        builders.confirmed(campaign)
    _, first = claiming.claim(3)
    _, second = claiming.claim(50)
    assert set(first).isdisjoint(second)
