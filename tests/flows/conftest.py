"""What the flows share: a relay, a broker, and workers between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.flows.cluster import Broker, Cluster
from tests.relay import Relay

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones are about many workers: on PostgreSQL, where many workers belong."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        out = [item for item in items if item.path.is_relative_to(HERE) and item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay that takes a moment for each letter; its `faults` make it misbehave."""
    with Relay(delay=0.02) as running:
        yield running


@pytest.fixture
def broker(tmp_path) -> Iterator[Broker]:
    """A private Valkey."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def cluster(tmp_path, broker, relay) -> Iterator[Cluster]:
    """Workers, not yet started. What they were at when the test ends does not matter."""
    made = Cluster(tmp_path, broker, relay)
    yield made
    made.kill()
