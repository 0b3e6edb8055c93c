"""People steer while letters leave: they withdraw, pause, cancel, and sign behind a long queue."""

import time

import pytest
from django.db import connection

from letters import lifecycle, signup
from letters.models import Campaign, Delivery, Letter
from letters.rules.ledger import State
from tests import builders
from tests.flows.cluster import wait_until
from tests.flows.stories import launched, settled, states, verdict

pytestmark = pytest.mark.django_db(transaction=True)
LINES = 8  # to one relay, of all workers together


def withdrawals(campaign: Campaign, people: int) -> set[str]:
    """So many try to withdraw a letter that still waits; the Message-IDs of those who could."""
    waiting = Delivery.objects.letters().filter(campaign=campaign, state=State.WAITING).order_by("-pk")
    gone = set()
    for number, message_id in list(waiting.values_list("letter", "message_id")[:people]):
        try:
            signup.withdraw(number)
        except signup.AlreadySent:
            continue
        gone.add(message_id)
    return gone


def taken_after(relay, moment: float) -> int:
    """How many letters the relay took whose final dot came after a moment."""
    time.sleep(0.5)  # what was under way has arrived
    return len([one for one in list(relay.log) if one.stage == "body" and one.time > moment])


def steered(cluster, relay, *, letters: int, people: int) -> None:
    """Some withdraw, then a pause, then the rest is cancelled."""
    campaign = launched(letters)
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= letters * 0.3, "a third gone")
    withdrawn = withdrawals(campaign, people)
    lifecycle.pause(campaign, by="test")
    paused = taken_after(relay, time.time())
    lifecycle.resume(campaign, by="test")
    had = len(relay.accepted)
    wait_until(lambda: len(relay.accepted) > had + letters * 0.1, "going on")
    lifecycle.cancel(campaign, by="test")
    cancelled = taken_after(relay, time.time())
    wait_until(lambda: settled(campaign), "settled")
    result = verdict(relay, campaign)
    print(f"\n{len(withdrawn)} withdrew; {paused} taken after the pause, {cancelled} after the end; {result}")
    assert len(withdrawn) == result["withdrawn"] > 0
    assert not withdrawn & set(relay.message_ids())
    assert max(paused, cancelled) <= LINES
    assert result["cancelled"] + result["withdrawn"] + result["accepted"] == letters


def test_who_withdraws_is_not_written_for_and_a_pause_or_an_end_stops_all_at_once(cluster, relay):
    relay.delay = 0.05
    steered(cluster, relay, letters=240, people=10)


@pytest.mark.long
def test_fifty_withdraw_and_two_thousand_letters_are_paused_and_ended(cluster, relay):
    relay.delay = 0.05
    cluster.slots, cluster.environment["SEND_PLACES"] = 4, "4"
    steered(cluster, relay, letters=2000, people=50)


def overtaken(cluster, relay, *, queue: int) -> None:
    """Behind a long queue somebody signs, and a small campaign begins."""
    big = launched(queue, slug="big")
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= 50, "the big one under way")
    small = launched(10, slug="small")
    builders.unconfirmed(small, country="FR", email="newcomer@people.example")
    recipients = lambda: [recipient for recipient, _ in list(relay.accepted)]  # noqa: E731
    wait_until(lambda: "newcomer@people.example" in recipients(), "confirmation mail arrived")
    before_it = recipients().index("newcomer@people.example")
    wait_until(lambda: states(small) == {"accepted": 10}, "the small campaign through")
    left = states(big)["waiting"]
    print(f"\nof {queue}: the confirmation came after {before_it}, the small campaign with {left} waiting")
    assert before_it < queue / 2
    assert left > queue / 3
    lifecycle.cancel(big, by="test")
    wait_until(lambda: settled(big), "settled")
    verdict(relay, small)


def test_a_confirmation_and_a_small_campaign_overtake_a_long_queue(cluster, relay):
    relay.delay = 0.05
    overtaken(cluster, relay, queue=3000)


@pytest.mark.long
def test_a_confirmation_and_a_small_campaign_overtake_a_very_long_queue(cluster, relay):
    overtaken(cluster, relay, queue=20_000)


def test_a_poisoned_letter_fails_alone_with_a_reason_or_goes_harmlessly(cluster, relay):
    campaign = launched(20)
    words = {
        "KE": "\r\n.\r\nMAIL FROM:<evil@example.org>",
        "BE": "x" * 10_000_000,
        "ES": "{% load %} {{ settings }}",
    }
    if connection.vendor == "sqlite":  # PostgreSQL keeps no NUL
        words["FR"] = "a\x00b"
    poisoned = {country: Letter.objects.filter(country=country).first() for country in words}
    for country, letter in poisoned.items():
        Letter.objects.filter(pk=letter.pk).update(own_words=words[country])
    Letter.objects.filter(country="CA").update(asks={"no such ask": 0})
    cluster.start()
    wait_until(lambda: settled(campaign), "settled")
    ends = Delivery.objects.exclude(state=State.ACCEPTED).values_list("letter__country", "state", "reason")
    print(f"\npoison: {verdict(relay, campaign)}, {list(ends)}")
    assert all(reason for _, _, reason in ends)
    assert {country for country, _, _ in ends} <= {*words, "CA"}
    assert states(campaign)["accepted"] >= 20 - len(words) - 2
    assert cluster.alive
