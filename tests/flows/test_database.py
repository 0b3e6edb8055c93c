"""PostgreSQL crashes, or cuts all connections, while letters leave."""

import pytest
from django.db import InterfaceError, OperationalError, connection

from tests.flows.cluster import Cluster, own_postgres, wait_until
from tests.flows.stories import launched, settled, verdict

BACK = 60.0  # seconds in which workers find their database again by themselves
AWAY = (OperationalError, InterfaceError)
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def still_settling(campaign) -> bool:
    """Whether something goes on; asked over a new connection where the old one was cut."""
    try:
        return not settled(campaign)
    except AWAY:
        connection.close()
        return True


def shaken(cluster, relay, server, *, letters: int) -> None:
    """One run in which all connections are cut, and then the server crashes and comes back."""
    campaign = launched(letters)
    cluster.start()
    wait_until(lambda: len(relay.accepted) >= letters * 0.2, "under way")
    with connection.cursor() as cursor:
        cursor.execute(CUT)
    had = len(relay.accepted)
    cut = wait_until(lambda: len(relay.accepted) > had + letters * 0.1, "going on after the cut", BACK)
    server.restart(mode="immediate")
    had = len(relay.accepted)
    back = wait_until(lambda: len(relay.accepted) > had + letters * 0.1, "going on after the crash", BACK)
    wait_until(lambda: not still_settling(campaign), "settled", BACK)
    assert cluster.alive
    result = verdict(relay, campaign)
    print(f"\ndatabase: went on {cut:.1f} s after the cut, {back:.1f} s after the crash; {result}")
    assert result == {"accepted": letters}


@pytest.fixture
def server(django_db_blocker):
    with django_db_blocker.unblock(), own_postgres() as running:
        yield running


def test_the_database_may_crash_while_letters_leave(server, tmp_path, broker, relay):
    relay.delay = 0.1
    cluster = Cluster(tmp_path, broker, relay)
    try:
        shaken(cluster, relay, server, letters=200)
    finally:
        cluster.kill()


@pytest.mark.long
def test_the_database_may_crash_in_two_thousand_letters(server, tmp_path, broker, relay):
    relay.delay = 0.1
    cluster = Cluster(tmp_path, broker, relay, slots=4)
    try:
        shaken(cluster, relay, server, letters=2000)
    finally:
        cluster.kill()
