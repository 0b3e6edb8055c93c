"""The broker forgets, dies, hangs or is away: the table is the queue."""

import time

import pytest

from letters import signup
from letters.models import Letter
from tests import builders
from tests.flows.cluster import wait_until
from tests.flows.stories import launched, settled, verdict

pytestmark = pytest.mark.django_db(transaction=True)
UNWATCHED = 90.0  # seconds in which mail goes again by itself


def more(relay, letters: int) -> float:
    """Waits until so many more have arrived; the seconds that it took."""
    goal = len(relay.accepted) + letters
    return wait_until(lambda: len(relay.accepted) >= goal, f"{letters} more taken", UNWATCHED)


def signed_up_while_it_is_away(campaign, people: int) -> float:
    """So many people sign and confirm; the longest that one of them waited."""
    waited = []
    for _ in range(people):
        begun = time.monotonic()
        letter = signup.confirm(builders.unconfirmed(campaign, country="FR").pk)
        waited.append(time.monotonic() - begun)
        assert letter.state == Letter.State.CONFIRMED
    return max(waited)


def survived(cluster, broker, relay, *, letters: int, pause: float, people: int) -> None:
    """One run in which the broker forgets all, hangs, and is away while people sign; nobody lends a hand."""
    campaign = launched(letters)
    cluster.start()
    more(relay, letters // 10)
    broker.ask("FLUSHALL")
    forgot = more(relay, letters // 10)
    with broker.paused():
        time.sleep(pause)
    hung = more(relay, letters // 10)
    broker.kill()
    slowest = signed_up_while_it_is_away(campaign, people)
    assert Letter.objects.filter(country="FR", signer_name__startswith="Amélie").count() == people + 1
    broker.start()
    back = more(relay, 1) if not settled(campaign) else 0.0
    wait_until(lambda: settled(campaign), "settled", UNWATCHED)
    assert cluster.alive
    result = verdict(relay, campaign)
    print(
        f"\nbroker: went on {forgot:.1f} s after FLUSHALL, {hung:.1f} s after {pause:g} s of silence,"
        f" {back:.1f} s after its return; slowest of {people} sign-ups {slowest:.2f} s; {result}"
    )
    assert result == {"accepted": letters + people}
    assert slowest < 2


def test_the_broker_may_forget_hang_and_be_away(cluster, broker, relay):
    relay.delay = 0.1
    survived(cluster, broker, relay, letters=200, pause=3, people=20)


@pytest.mark.long
def test_the_broker_may_be_gone_for_a_minute_in_two_thousand_letters(cluster, broker, relay):
    cluster.slots, cluster.environment["SEND_PLACES"] = 4, "4"
    relay.delay = 0.1
    survived(cluster, broker, relay, letters=2000, pause=60, people=200)
