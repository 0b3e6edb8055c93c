"""A relay that refuses, delays, hangs and breaks off: each letter ends where it should, and tells why."""

import time
from datetime import timedelta

import pytest
from django.db.models import F

from letters.models import Delivery, Destination, OfficePace
from letters.querysets import DeliveryQuerySet, in_seconds
from letters.rules.ledger import State
from tests.flows.cluster import wait_until
from tests.flows.stories import TEN, launched, settled, states, verdict
from tests.relay_faults import Fault, Greylist

pytestmark = pytest.mark.django_db(transaction=True)
TROUBLES = {
    "FR": Fault("rcpt", "451 4.7.1 not now"),
    "BE": Fault("rcpt", "550 5.1.1 nobody here"),
    "ES": Fault("data", hang=60, times=1),
    "KE": Fault("dot", hang=60, times=1),
    "CA": Fault("rcpt", times=1),  # hung up on
    "IE": Fault("data", times=1),
    "AR": Fault("taken", reset=True),  # right after the 250
    "CI": Fault("after", times=1),  # taken, and hung up on instead of the 250
}
GREYLISTED, GOOD = "SN", "MX"
LINES = 8  # to one relay, of all workers together


def to(country: str) -> DeliveryQuerySet:
    return Delivery.objects.letters().filter(recipient=f"cabinet@mfa.{country.lower()}.example")


def ends(country: str) -> list[tuple[str, int]]:
    """State and tries of the letters to a State's ministry."""
    return sorted(to(country).values_list("state", "attempts"))


def time_comes() -> None:
    """What was put off is due now, to slowed domains too."""
    Delivery.objects.filter(state=State.DEFERRED).update(due_at=in_seconds(0))
    Destination.objects.update(gap=0, next_at=in_seconds(0))
    OfficePace.objects.update(next_at=in_seconds(0))


def soon() -> None:
    """What was put off will be due in a moment."""
    time.sleep(0.5)
    time_comes()


def tried() -> bool:
    """Whether nothing waits for its first try, or is being tried."""
    return not Delivery.objects.filter(state__in=[State.WAITING, State.SUBMITTING]).exists()


def test_each_trouble_is_told_from_the_others_and_ends_as_it_should(cluster, relay):
    campaign = launched(20)
    for country, fault in TROUBLES.items():
        relay.faults.append(fault)
        fault.recipient = f"@mfa.{country.lower()}."
    relay.greylist = Greylist(window=4, recipient="@mfa.sn.")
    cluster.start()
    wait_until(tried, "all tried")
    first = {country: ends(country) for country in TEN}
    once, later, doubt = (State.ACCEPTED, 1), (State.DEFERRED, 1), (State.UNCERTAIN, 1)
    assert first == {
        "FR": [later, later],
        "BE": [(State.FAILED, 1), (State.FAILED, 1)],
        "ES": [once, later],
        "KE": [once, doubt],
        "CA": [once, later],
        "IE": [once, later],
        "AR": [once, once],  # a 250 that was read is final
        "CI": [once, doubt],
        GREYLISTED: [later, later],
        GOOD: [once, once],
    }
    time_comes()
    again = (State.ACCEPTED, 2)
    wait_until(lambda: ends(GREYLISTED) == [again, again], "let through by the greylist")
    wait_until(lambda: ends("FR") == [(State.DEFERRED, 2)] * 2, "refused again")
    Delivery.objects.filter(state=State.DEFERRED).update(
        first_tried_at=F("first_tried_at") - timedelta(days=5), attempts=20
    )
    time_comes()
    wait_until(lambda: settled(campaign), "settled")
    assert ends("FR") == [(State.FAILED, 21)] * 2
    assert "given up after 21 tries: rcpt: 451 4.7.1 not now" in to("FR").values_list("reason", flat=True)
    print(f"\ntroubles: {verdict(relay, campaign, doubtful=2)}")


def test_a_relay_that_limits_hangs_up_and_says_later_at_random_gets_every_letter_once(cluster, relay):
    campaign = launched(60)
    relay.limits.per_second = 20
    relay.faults = [
        Fault("rcpt", "450 4.2.1 at random", share=0.1, times=6),
        Fault("connect", hang=60, times=1),
    ]
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= 15, "at work")
    relay.drop_all()
    wait_until(lambda: settled(campaign) or soon(), "settled")
    turned_away = len(relay.logged("mail", "421"))
    print(f"\n421 above 20/s: {turned_away} times; {verdict(relay, campaign, doubtful=LINES)}")
    assert turned_away


def test_a_slow_domain_holds_no_other(cluster, relay):
    campaign = launched(90, countries=TEN)
    relay.faults = [Fault("dot", hang=60, recipient="@mfa.fr.")]
    cluster.start()
    wait_until(lambda: len(relay.accepted) == 81, "all but the letters to one ministry taken")
    hung = [one for one in relay.log if one.stage == "dot" and "@mfa.fr." in one.recipient]
    print(f"\nslow domain: 81 others taken while it hung {len(hung)} times; {states(campaign)}")
    assert len(hung) <= 4
    relay.faults = []
    wait_until(lambda: settled(campaign), "settled")
    verdict(relay, campaign, doubtful=9)
