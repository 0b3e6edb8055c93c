"""Who says stop is obeyed: a pause, an end, a withdrawal, a worker that is to leave."""

import pytest

from letters import lifecycle, signup
from letters.models import Campaign, Delivery, RelayPace
from letters.rules.ledger import State
from letters.sending import leaving, rounds, transport
from tests import builders
from tests.letters.sending.steps import pause_when, posted, running, send_all, time_passes

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(db) -> Campaign:
    builders.office("FR")
    return builders.campaign()


@pytest.mark.parametrize("sending", ["paused", "draft", "cancelled"])
def test_nothing_leaves_while_the_campaign_does_not_run(campaign, relay, sending):
    posted(running(campaign))
    Campaign.objects.update(sending=sending)
    assert send_all() == 0
    assert relay.accepted == []


@pytest.mark.django_db(transaction=True)
def test_a_pause_stops_what_is_claimed_but_has_not_left(campaign, relay):
    """One line and a slow relay: the second letter waits on the line while the first is answered."""
    running(campaign)
    first, second = posted(campaign), posted(campaign)
    RelayPace.objects.update_or_create(name="letters", defaults={"connections": 1})
    relay.delay = 0.5
    builders.at_once(
        lambda: rounds.send_due(5), lambda: pause_when(campaign, lambda: bool(relay.logged("body")))
    )
    assert len(relay.accepted) == 1
    states = {row.pk: (row.state, row.attempts) for row in Delivery.objects.all()}
    assert states == {first.pk: (State.ACCEPTED, 1), second.pk: (State.WAITING, 0)}


def test_a_campaign_that_was_paused_and_goes_on_is_sent_by_the_same_worker(campaign, relay):
    """The worker keeps its lines, but not what it knew of campaigns."""
    running(campaign)
    posted(campaign)
    rounds.send_due(1)
    lifecycle.pause(campaign, by="test")
    transport.lines().counter("letters").stop({campaign.pk})
    lifecycle.resume(campaign, by="test")
    posted(campaign)
    time_passes()
    assert rounds.send_due(5) == 1


def test_a_worker_that_is_to_end_begins_nothing_and_finishes_what_is_on_the_line(campaign, relay):
    running(campaign)
    posted(campaign)
    leaving.tell()
    try:
        assert rounds.send_due(5) == 0
    finally:
        leaving.forget()
    assert Delivery.objects.get().state == State.WAITING
    assert rounds.send_due(5) == 1


def test_what_was_withdrawn_before_the_claim_is_not_sent(campaign, relay):
    delivery = posted(running(campaign))
    signup.withdraw(delivery.letter_id)
    assert send_all() == 0
    delivery.refresh_from_db()
    assert delivery.state == State.WITHDRAWN
    assert relay.accepted == []


def test_a_letter_that_is_being_sent_can_no_longer_be_withdrawn(campaign):
    delivery = posted(running(campaign))
    assert [job.number for job in builders.claimed("me", "letters", 10)] == [delivery.pk]
    with pytest.raises(signup.AlreadySent):
        signup.withdraw(delivery.letter_id)
