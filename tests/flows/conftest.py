"""What the flows share: a relay, a broker, and workers between them."""

from collections.abc import Iterator

import pytest

from tests.flows.cluster import Broker, Cluster
from tests.relay import Relay


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
