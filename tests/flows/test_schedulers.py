"""Two schedulers ring, two clusters send: the table is the queue, and each letter goes once."""

from contextlib import ExitStack

import pytest

from tests.flows.cluster import Cluster, wait_until
from tests.flows.stories import launched, settled, verdict

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_schedulers_and_two_clusters_send_each_letter_once(tmp_path_factory, broker, relay):
    campaign = launched(150)
    with ExitStack() as ends:
        for name in ("north", "south"):
            one = Cluster(tmp_path_factory.mktemp(name), broker, relay)
            ends.callback(one.kill)
            one.start()
        wait_until(lambda: settled(campaign), "settled")
    assert verdict(relay, campaign) == {"accepted": 150}
