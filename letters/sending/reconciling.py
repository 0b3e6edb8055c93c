"""Deliveries of which a relay's log tells that they left, though the ledger does not know it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import batched

from django.conf import settings
from django.db import transaction

from letters.models import Delivery, DeliveryEvent
from letters.rules.ledger import State
from letters.sending import recovery

AT_ONCE = 1000  # Message-IDs looked up at a time
FOUND = "found in the relay's log"
# What is submitting belongs to a worker; it settles it, or gives it up as uncertain.
FORGOTTEN = (State.HELD, State.WAITING, State.DEFERRED, State.UNCERTAIN)


@dataclass
class Tally:
    """How many Message-IDs of ours were found, each counted once, and what they belong to."""

    found: int = 0
    moved: int = 0  # they are accepted now
    accepted: int = 0  # they were before
    at_work: int = 0  # a worker has them at this moment
    ended: int = 0  # failed, withdrawn, cancelled …: final, and left as they are
    unknown: int = 0  # this database has no such delivery


def reconcile(lines: Iterable[str], *, dry_run: bool = False) -> Tally:
    """Takes all that a relay's log names for accepted. May run again; with `dry_run` it only counts.

    A Message-ID counts wherever it stands in a line, with or without angle brackets.
    """
    if not dry_run:
        recovery.recover()  # what was with a worker that is no more
    tally = Tally()
    for some in batched(_message_ids(lines), AT_ONCE):
        rows = dict(Delivery.objects.filter(message_id__in=some).values_list("pk", "state"))
        states = list(rows.values())
        numbers = [number for number, state in rows.items() if state in FORGOTTEN]
        moved = len(numbers) if dry_run else _accept(numbers)
        accepted = states.count(State.ACCEPTED)
        at_work = states.count(State.SUBMITTING) + len(numbers) - moved
        tally.found += len(some)
        tally.moved += moved
        tally.accepted += accepted
        tally.at_work += at_work
        tally.ended += len(rows) - moved - accepted - at_work
        tally.unknown += len(some) - len(rows)
    return tally


def _message_ids(lines: Iterable[str]) -> Iterator[str]:
    """Our Message-IDs, as the outbox makes them, each once."""
    domain = settings.REPLY_DOMAIN
    ours = re.compile(rf"(?<![\w.+-])([0-9a-f]{{32}})@{re.escape(domain)}(?![\w-]|\.\w)", re.ASCII | re.I)
    seen: set[str] = set()
    for line in lines:
        for word in ours.findall(line):
            found = f"<{word.lower()}@{domain}>"
            if found not in seen:
                seen.add(found)
                yield found


def _accept(numbers: list[int]) -> int:
    """Moves deliveries to accepted, but for those that a worker holds; returns how many."""
    with transaction.atomic():
        free = Delivery.objects.filter(pk__in=numbers, state__in=FORGOTTEN).order_by("pk").locked()
        mine = list(free.values_list("pk", flat=True))
        rows = Delivery.objects.filter(pk__in=mine)
        rows.filter(state=State.HELD).to(State.WAITING)  # somebody let it go, which was forgotten too
        rows.to(State.ACCEPTED, reason=FOUND, lease_until=None)
        DeliveryEvent.objects.bulk_create(
            DeliveryEvent(delivery_id=number, what="settled", detail=f"accepted: {FOUND}", source="person")
            for number in mine
        )
    return len(mine)
