"""Claims due deliveries for one worker: one conditional update, by the database's clock."""

import secrets
from collections import defaultdict
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Case, DateTimeField, Value, When
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
    later: dict[int, datetime] = {}
    now, paces = _locked_paces(sorted(by_office))
    for office, letters in by_office.items():
        ready = paces[office].ready(now, len(letters))
        pace = paces[office].after(now, ready)
        times = pace.promised(now, len(letters) - ready)
        later |= dict(zip(letters[ready:], times, strict=True))
        tail = times[-1] if times else pace.tail_at
        OfficePace.objects.filter(pk=office).update(next_at=pace.next_at, tail_at=tail)
    _put_off(later)
    return [pk for pk, _, _ in rows if pk not in later]


def _put_off(later: dict[int, datetime]) -> None:
    """Gives each delivery its time, in one statement."""
    if later:
        cases = [When(pk=pk, then=Value(at)) for pk, at in later.items()]
        Delivery.objects.filter(pk__in=later).update(due_at=Case(*cases, output_field=DateTimeField()))


def _locked_paces(offices: list[int]) -> tuple[datetime, dict[int, pacing.Pace]]:
    """Now, by the database's clock, and {office: its timetable}, locked until the claim is committed."""
    OfficePace.objects.bulk_create([OfficePace(office_id=pk) for pk in offices], ignore_conflicts=True)
    rows = OfficePace.objects.select_for_update(of=("self",)).filter(pk__in=offices).order_by("pk")
    values = list(rows.annotate(now=Now()).values_list("pk", "next_at", "tail_at", "office__per_hour", "now"))
    default = _per_hour(offices)
    paces = {
        pk: pacing.Pace(next_at, tail_at, pacing.interval(own or default[pk]))
        for pk, next_at, tail_at, own, _ in values
    }
    return values[0][-1], paces


def _per_hour(offices: list[int]) -> dict[int, int]:
    """The slowest pace that any running campaign with due letters asks for each office."""
    due = Delivery.objects.due().filter(kind=Delivery.Kind.LETTER, office__in=offices).order_by()
    found = due.values_list("office", "campaign__per_office_hour").distinct()
    slowest: dict[int, int] = {}
    for office, per_hour in found:
        slowest[office] = min(per_hour, slowest.get(office, per_hour))
    return {office: slowest.get(office, 1) for office in offices}
