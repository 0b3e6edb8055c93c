"""Many workers at once, each with a connection of its own."""

import secrets
import threading
from collections import Counter

import pytest
from django.db import connection

from letters import lifecycle
from letters.models import Campaign, Delivery
from letters.rules.ledger import State
from letters.sending import rounds
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)
COUNTRIES = ("FR", "BE", "ES", "KE", "CA", "IE", "AR", "CI", "SN", "MX")


def at_once(number: int, work) -> list[object]:
    """Runs `work` in so many threads that start together; returns what each returned."""
    barrier, results = threading.Barrier(number), []

    def run() -> None:
        barrier.wait()
        try:
            results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == number, "a thread died"
    return results


def full_outbox() -> Campaign:
    for country in COUNTRIES:
        builders.office(country)
    campaign = builders.campaign()
    for country in COUNTRIES * 2:
        builders.confirmed(campaign, country=country)
    Delivery.objects.all().delete()
    lifecycle.launch(campaign, by="test")
    return campaign


def test_workers_that_claim_together_never_get_the_same_row():
    full_outbox()
    claims = at_once(6, lambda: [job.number for job in builders.claimed(secrets.token_hex(4), "letters", 4)])
    counted = Counter(number for numbers in claims for number in numbers)
    assert counted
    assert set(counted.values()) == {1}
    assert Delivery.objects.filter(state=State.SUBMITTING).count() == len(counted)


def test_launch_pressed_twenty_times_at_once_launches_once():
    for country in COUNTRIES:
        builders.office(country)
    campaign = builders.campaign()
    for country in COUNTRIES:
        builders.confirmed(campaign, country=country)

    def press() -> bool:
        try:
            lifecycle.launch(campaign, by="test")
        except lifecycle.Refused:
            return False
        return True

    assert sum(at_once(20, press)) == 1
    sums = lifecycle.equation(campaign)
    assert (sums.selected, sums.states["waiting"]) == (10, 10)


def test_workers_that_send_together_send_each_letter_once(relay):
    campaign = full_outbox()
    at_once(4, lambda: rounds.send_due(3))
    ids = relay.message_ids()
    assert len(ids) == len(set(ids))
    assert lifecycle.equation(campaign).states["accepted"] == len(ids) >= len(COUNTRIES)
