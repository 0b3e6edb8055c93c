"""Workers killed at full speed, or asked to go: what is in doubt is only what nobody can know."""

import random
import time

import pytest

from letters.models import Campaign, Delivery
from letters.querysets import in_seconds
from letters.rules.ledger import State
from letters.sending import recovery
from tests.flows.cluster import Cluster, wait_until
from tests.flows.stories import FORTY, Kill, at_kill, launched, settled, states, verdict
from tests.relay_faults import Fault

pytestmark = pytest.mark.django_db(transaction=True)
LEASE = 5  # seconds; so short that a test sees it run out
LINES = 8  # to one relay, of all workers together
UNWATCHED = 90.0  # seconds in which sending goes on by itself, whatever happened


@pytest.fixture
def hasty(cluster) -> Cluster:
    """Workers whose places and rows are free again soon after their death."""
    cluster.environment["LEASE_SECONDS"] = str(LEASE)
    return cluster


def killed_once(cluster, relay, *, at: int, chance: random.Random) -> Kill:
    """Starts the workers and kills them at a random moment after so many letters."""
    before = relay.connections
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= at, f"{at} letters taken")
    time.sleep(chance.random() * 0.2)
    moment = time.time()
    cluster.kill()
    return at_kill(relay, since=before, at=moment)


def told(what: str, kills: list[Kill], result: dict[str, int]) -> None:
    lines, unanswered = sum(one.lines for one in kills), sum(one.unanswered for one in kills)
    print(f"\n{what}: {len(kills)} kills, {lines} lines open, {unanswered} dots unanswered; {result}")


def test_a_killed_cluster_loses_nothing_repeats_nothing_and_doubts_what_was_in_flight(hasty, relay):
    campaign = launched(200)
    kill = killed_once(hasty, relay, at=60, chance=random.Random(1))
    hasty.start()
    wait_until(lambda: settled(campaign), "settled")
    result = verdict(relay, campaign, doubtful=kill.lines)
    told("killed", [kill], result)
    assert result.get("uncertain", 0) + result["accepted"] == 200


@pytest.mark.long
def test_without_its_journals_a_killed_cluster_doubts_what_it_had_claimed_and_no_more(hasty, relay):
    campaign = launched(400)
    kill = killed_once(hasty, relay, at=100, chance=random.Random(2))
    claimed = states(campaign).get("submitting", 0)
    hasty.lose_disk()
    hasty.start()
    wait_until(lambda: settled(campaign), "settled")
    result = verdict(relay, campaign, doubtful=claimed)
    told(f"killed, its disk lost with {claimed} claimed", [kill], result)
    assert result["uncertain"] + result["accepted"] == 400


def test_a_letter_killed_between_its_dot_and_the_answer_does_what_its_campaign_says(hasty, relay):
    held = launched(4, slug="held", countries=("FR", "BE", "ES", "KE"))
    again = launched(4, slug="again", countries=("IE", "AR", "CI", "SN"))
    Campaign.objects.filter(pk=again.pk).update(doubt=Campaign.Doubt.RESEND)
    silent = [Fault("after", hang=60, recipient=domain, times=1) for domain in ("@mfa.ke.", "@mfa.sn.")]
    relay.faults = silent  # taken, but never said
    relay.extensions = ("8BITMIME", "SMTPUTF8")  # without PIPELINING no letter waits behind a silent one
    hasty.environment["LETTERS_MAIL_URL"] = relay.url.replace("timeout=2", "timeout=60")
    hasty.start()
    wait_until(
        lambda: (
            {one.times for one in silent} == {0}
            and Delivery.objects.filter(state=State.ACCEPTED).count() == len(relay.accepted) - 2
        ),
        "silent about two, and all others known",
    )
    hasty.kill()
    hasty.start()
    waiting = Delivery.objects.filter(campaign=again, state=State.WAITING, events__what="resent")
    wait_until(waiting.exists, "to be sent again")
    Delivery.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(due_at=in_seconds(0))
    wait_until(lambda: settled(held) and settled(again), "settled")
    assert states(held) == {"accepted": 3, "uncertain": 1}
    assert states(again) == {"accepted": 4}
    doubted = Delivery.objects.get(campaign=held, recipient="cabinet@mfa.ke.example")
    assert (doubted.state, doubted.reason) == (State.UNCERTAIN, recovery.SILENT)
    resent = Delivery.objects.get(campaign=again, recipient="cabinet@mfa.sn.example")
    assert [event.what for event in resent.events.all()] == ["uncertain", "resent"]
    assert relay.message_ids().count(resent.message_id) == 2
    assert len({message for recipient, message in relay.accepted if recipient == resent.recipient}) == 1
    assert len(relay.accepted) == 9


def deployed(cluster, relay, *, letters: int) -> None:
    """One run in which the workers are asked to go, and others come."""
    relay.delay = 0.2
    campaign = launched(letters)
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= 20, "at full speed")
    took = cluster.end(30)
    left = states(campaign)
    print(f"\ndeployed: ended in {took:.1f} s; {left}")
    assert set(left) <= {"accepted", "waiting"}
    assert left["accepted"] == len(relay.accepted)
    relay.delay = 0.0
    cluster.start()
    wait_until(lambda: settled(campaign), "settled")
    assert verdict(relay, campaign) == {"accepted": letters}


def test_a_deployment_at_full_speed_lets_go_within_half_a_minute(cluster, relay):
    deployed(cluster, relay, letters=100)


@pytest.mark.long
def test_a_deployment_in_two_thousand_letters(cluster, relay):
    deployed(cluster, relay, letters=2000)


@pytest.mark.long
def test_five_kills_in_two_thousand_letters(hasty, relay):
    campaign, chance = launched(2000, countries=FORTY), random.Random(5)
    hasty.slots, hasty.environment["SEND_PLACES"] = 4, "4"
    kills = [killed_once(hasty, relay, at=350 * turn, chance=chance) for turn in range(1, 6)]
    hasty.start()
    took = wait_until(lambda: len(relay.accepted) > 1800, "going on", UNWATCHED)
    wait_until(lambda: settled(campaign), "settled", 120)
    result = verdict(relay, campaign, doubtful=sum(kill.lines for kill in kills))
    told(f"killed, went on after {took:.1f} s", kills, result)


@pytest.mark.long
def test_with_the_lease_as_shipped_sending_goes_on_by_itself_within_a_minute_and_a_half(cluster, relay):
    relay.delay = 0.1
    campaign = launched(800)
    cluster.start()
    wait_until(lambda: relay.connections == LINES, "all places taken")
    killed = time.time()
    cluster.kill()
    kill, had = at_kill(relay, since=0, at=killed), len(relay.accepted)
    cluster.start()
    took = wait_until(lambda: len(relay.accepted) > had, "going on", UNWATCHED)
    wait_until(lambda: settled(campaign), "settled", UNWATCHED)
    result = verdict(relay, campaign, doubtful=kill.lines)
    told(f"lease as shipped, went on after {took:.1f} s", [kill], result)
