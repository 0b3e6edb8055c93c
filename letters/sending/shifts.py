"""So many workers at a time: a ring that finds all places taken is answered at once and forgotten."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models.functions import Now

from letters.models.clock import Shift
from letters.querysets import in_seconds


@contextmanager
def shift(name: str, *, places: int, seconds: float) -> Iterator[str]:
    """Takes one of so many places for at most so many seconds; yields its holder, "" for none.

    A worker that is killed leaves its place when its time is over, by the database's clock, or when its
    journal is found.
    """
    me = secrets.token_hex(8)
    taken = next((place for place in range(places) if _take(f"{name}-{place}", me, seconds)), None)
    try:
        yield "" if taken is None else me
    finally:
        if taken is not None:
            Shift.objects.filter(name=f"{name}-{taken}", holder=me).update(holder="", until=Now())


def vacate(holder: str) -> None:
    """Frees the place of a worker that is known to be dead."""
    Shift.objects.filter(holder=holder).update(holder="", until=Now())


def _take(name: str, me: str, seconds: float) -> bool:
    Shift.objects.bulk_create([Shift(name=name)], ignore_conflicts=True)
    free = Shift.objects.filter(name=name, until__lte=Now())
    return free.update(holder=me, until=in_seconds(seconds)) == 1
