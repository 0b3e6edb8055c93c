"""Steps that stories about rounds share."""

import time
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from letters import lifecycle
from letters.models import Campaign, Delivery, Destination, OfficePace, RelayPace
from letters.rules.ledger import State
from letters.sending import rounds
from letters.sending.jobs import Result
from letters.sending.journal import Journal
from tests import builders


def running(campaign: Campaign) -> Campaign:
    lifecycle.launch(campaign, by="test")
    campaign.refresh_from_db()
    return campaign


def posted(campaign: Campaign, **changes: object) -> Delivery:
    """A letter in the outbox; its confirmation mail is out of the way."""
    delivery = builders.delivery_of(builders.confirmed(campaign, **changes))
    Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION).delete()
    return delivery


def time_passes() -> None:
    """Whatever had to wait for an hour may go now; what was deferred stays."""
    before = timezone.now() - timedelta(hours=1)
    OfficePace.objects.update(next_at=before)
    Destination.objects.update(next_at=before)
    RelayPace.objects.update(rest_until=before)


def pause_when(campaign: Campaign, condition: Callable[[], bool]) -> None:
    """Pauses the campaign as soon as something is so."""
    while not condition():
        time.sleep(0.005)
    lifecycle.pause(campaign, by="test")


def send_all() -> int:
    """Sends until nothing moves any more, whatever the pace asks for."""
    sent, before = 0, None
    while before != (now := list(Delivery.objects.order_by("pk").values_list("pk", "state"))):
        before = now
        time_passes()
        Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now() - timedelta(seconds=1))
        sent += rounds.send_due(5)
    return sent


def claimed(campaign: Campaign, name: str = "worker") -> Delivery:
    """A letter that a worker of that name has claimed."""
    delivery = builders.delivery_of(builders.confirmed(campaign))
    Delivery.objects.filter(kind="confirmation").delete()
    OfficePace.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    [job] = builders.claimed(name, "letters", 5)
    assert job.number == delivery.pk
    return delivery


def silence() -> None:
    """The worker of all leases is dead for longer than they last."""
    Delivery.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))


def state_of(delivery: Delivery) -> str:
    """Its state now; the row in hand is as in the table afterwards."""
    delivery.refresh_from_db()
    return str(delivery.state)


def died(name: str = "worker", **said: Result | None) -> None:
    """A journal whose owner is dead: a dot for each delivery (`d7=…`), and its answer where there was one."""
    mine = Journal(name)
    for key, result in said.items():
        mine.dot(int(key[1:]))
        if result is not None:
            mine.answer(int(key[1:]), result)
    mine.close(settled=False)
