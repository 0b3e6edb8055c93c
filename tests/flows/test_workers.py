"""Real workers on a real Valkey, killed while they send; the relay's log is compared with the ledger."""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import redis
from django.db import connection

from campaign.rehearsal.servers import free_port, spawn, stop, valkey
from letters import lifecycle
from letters.models import Campaign, Delivery
from letters.rules.ledger import State
from tests import builders
from tests.relay import Relay

pytestmark = pytest.mark.django_db(transaction=True)
COUNTRIES = ("FR", "BE", "ES", "KE", "CA", "IE", "AR", "CI", "SN", "MX")
SLOTS = 2  # worker processes, each with one letter in flight


def database_url() -> str:
    """The test database, as a worker of its own reads it."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}@{quote(given['HOST'], safe='')}/{given['NAME']}"


class Cluster:
    """One Celery worker with its beat, killed and started again as the test likes."""

    def __init__(self, folder, redis_url: str, relay: Relay) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "LETTERS_MAIL_URL": relay.url,
            "SUPPORTERS_MAIL_URL": relay.url,
            "LEASE_SECONDS": "5",
            "SEND_BATCH": "10",
            "LOG_LEVEL": "WARNING",
        }
        self.process = None

    def start(self) -> None:
        schedule = self.folder / f"beat-{free_port()}"
        command = [sys.executable, "-m", "celery", "-A", "campaign", "worker", "-B", "-c", str(SLOTS)]
        command += [
            "--schedule",
            str(schedule),
            "--loglevel",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
        self.process = spawn(command, log=self.folder / "worker.log", env=self.environment)

    def kill(self) -> None:
        """Kills the worker with all its processes, without a word of warning."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            stop(self.process)


@pytest.fixture
def cluster(tmp_path, relay) -> Iterator[Cluster]:
    with valkey() as redis_url:
        running = Cluster(tmp_path, redis_url, relay)
        yield running
        running.stop()


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay(delay=0.02) as running:
        yield running


def launched(letters: int) -> Campaign:
    for country in COUNTRIES:
        builders.office(country)
    campaign = builders.campaign()
    for place in range(letters):
        builders.confirmed(campaign, country=COUNTRIES[place % len(COUNTRIES)])
    Delivery.objects.all().delete()  # the confirmation mails are not the subject
    lifecycle.launch(campaign, by="test")
    return campaign


def wait_until(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)


def judge(relay: Relay, campaign: Campaign) -> None:
    """Lost 0, sent twice 0, unaccounted 0; doubtful no more than were in flight at the kills."""
    arrived = Counter(relay.message_ids())
    ledger = dict(Delivery.objects.filter(campaign=campaign).values_list("message_id", "state"))
    assert set(arrived) <= set(ledger), "somebody got mail that nobody wrote"
    assert max(arrived.values()) == 1, "a letter was sent twice"
    missing = {message for message, state in ledger.items() if state == State.ACCEPTED} - set(arrived)
    assert not missing, "the ledger believes in letters that never arrived"
    sums = lifecycle.equation(campaign)
    assert sums.balanced
    assert sums.states["accepted"] + sums.states["uncertain"] == sums.selected


def settled(campaign: Campaign) -> bool:
    counts = lifecycle.equation(campaign).states
    return counts["accepted"] + counts["uncertain"] == sum(counts.values())


def killed_and_judged(cluster: Cluster, relay: Relay, *, letters: int, kills: int) -> None:
    chance, campaign = random.Random(letters), launched(letters)
    for kill in range(1, kills + 1):
        cluster.start()
        wait_until(lambda goal=letters * kill // (kills + 1): len(relay.accepted) >= goal)
        time.sleep(chance.random() * 0.1)
        cluster.kill()
    cluster.start()
    wait_until(lambda: settled(campaign))
    judge(relay, campaign)
    assert lifecycle.equation(campaign).states["uncertain"] <= SLOTS * kills


def test_a_killed_worker_loses_nothing_and_repeats_nothing(cluster, relay):
    killed_and_judged(cluster, relay, letters=60, kills=1)


@pytest.mark.long
def test_five_kills_in_a_long_run(cluster, relay):
    killed_and_judged(cluster, relay, letters=600, kills=5)


def test_the_broker_may_forget_everything(cluster, relay):
    campaign = launched(30)
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= 5)
    redis.Redis.from_url(cluster.environment["REDIS_URL"], socket_timeout=5).flushall()
    wait_until(lambda: settled(campaign))
    judge(relay, campaign)
