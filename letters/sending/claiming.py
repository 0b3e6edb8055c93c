"""Claims due deliveries for one worker: one conditional update, by the database's clock."""

import secrets
from collections import defaultdict
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from letters.models import Delivery, OfficePace
from letters.querysets import in_seconds
from letters.rules import pacing
from letters.rules.ledger import State

Row = tuple[int, str, int | None]  # delivery, kind, office


def claim(limit: int) -> tuple[str, list[int]]:
    """Claims up to `limit` deliveries; returns the claim's name and their numbers, in order.

    Letters beyond an office's pace are not claimed: they get the time at which they may go.
    """
    name = secrets.token_hex(8)
    with transaction.atomic():
        due = Delivery.objects.due().locked().order_by("lane", "due_at", "pk")
        rows: list[Row] = list(due.values_list("pk", "kind", "office")[:limit])
        mine = _paced(rows)
        Delivery.objects.filter(pk__in=mine).update(
            state=State.CLAIMED, claimed_by=name, lease_until=in_seconds(settings.LEASE_SECONDS)
        )
    return name, mine


def _paced(rows: list[Row]) -> list[int]:
    """The rows that may go now; each other letter is put off to its office's next free slot."""
    by_office: dict[int, list[int]] = defaultdict(list)
    for pk, kind, office in rows:
        if kind == Delivery.Kind.LETTER and office is not None:
            by_office[office].append(pk)
    if not by_office:
        return [pk for pk, _, _ in rows]
    paces = _locked_paces(sorted(by_office))
    later: set[int] = set()
    for office, letters in by_office.items():
        next_at, now, gap = paces[office]
        slots = pacing.slots(next_at, now, gap, len(letters))
        ready = sum(slot <= now for slot in slots)
        if ready:
            OfficePace.objects.filter(pk=office).update(
                next_at=pacing.slots(next_at, now, gap, ready + 1)[ready]
            )
        for pk, slot in zip(letters[ready:], slots[ready:], strict=True):
            Delivery.objects.filter(pk=pk).update(due_at=slot)
            later.add(pk)
    return [pk for pk, _, _ in rows if pk not in later]


def _locked_paces(offices: list[int]) -> dict[int, tuple[datetime, datetime, float]]:
    """{office: (its next slot, now, seconds between letters)}, locked until the claim is committed."""
    OfficePace.objects.bulk_create([OfficePace(office_id=pk) for pk in offices], ignore_conflicts=True)
    rows = OfficePace.objects.select_for_update(of=("self",)).filter(pk__in=offices).order_by("pk")
    values = rows.annotate(now=Now()).values_list("pk", "next_at", "now", "office__per_hour")
    default = _per_hour(offices)
    return {pk: (next_at, now, pacing.interval(own or default[pk])) for pk, next_at, now, own in values}


def _per_hour(offices: list[int]) -> dict[int, int]:
    """The slowest pace that any running campaign with due letters asks for each office."""
    due = Delivery.objects.due().filter(kind=Delivery.Kind.LETTER, office__in=offices).order_by()
    found = due.values_list("office", "campaign__per_office_hour").distinct()
    slowest: dict[int, int] = {}
    for office, per_hour in found:
        slowest[office] = min(per_hour, slowest.get(office, per_hour))
    return {office: slowest.get(office, 1) for office in offices}
