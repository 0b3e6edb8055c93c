"""Claims due deliveries for one worker: one conditional update, by the database's clock.

Mail to supporters goes first. Letters are chosen office by office: only offices whose time has come are
looked at, so that a long queue for one ministry holds up nobody, and a change of pace counts at once.
"""

import secrets
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from letters.models import Campaign, Delivery, OfficePace
from letters.querysets import DeliveryQuerySet, in_seconds
from letters.rules.ledger import State
from letters.rules.pacing import Pace, interval


def claim(limit: int) -> tuple[str, list[int]]:
    """Claims up to `limit` deliveries; returns the claim's name and their numbers, in order."""
    name = secrets.token_hex(8)
    with transaction.atomic():
        mails = Delivery.objects.due().exclude(kind=Delivery.Kind.LETTER).locked()
        mine = list(mails.order_by("lane", "due_at", "pk").values_list("pk", flat=True)[:limit])
        if len(mine) < limit:
            mine += _letters(limit - len(mine))
        Delivery.objects.filter(pk__in=mine).update(
            state=State.CLAIMED, claimed_by=name, lease_until=in_seconds(settings.LEASE_SECONDS)
        )
    return name, mine


def _letters(limit: int) -> list[int]:
    """Letters of running campaigns to offices whose time has come; notes when each one's next may go."""
    campaigns = Campaign.objects.filter(sending=Campaign.Sending.RUNNING)
    running = dict(campaigns.values_list("pk", "per_office_hour"))
    found: list[int] = []
    for office, next_at, own, now in _ready_offices(list(running), limit):
        due = _due_to(office, list(running))
        pace = Pace(next_at, interval(own or _slowest(due, running)))
        mine = list(due.locked().order_by("due_at", "pk").values_list("pk", flat=True)[: pace.ready(now)])
        mine = mine[: limit - len(found)]
        OfficePace.objects.filter(pk=office).update(next_at=pace.after(now, len(mine)))
        found += mine
        if len(found) >= limit:
            break
    return found


def _ready_offices(campaigns: list[int], limit: int) -> list[tuple[int, datetime, int | None, datetime]]:
    """(office, its next time, its own pace, now): longest-waiting first, locked for this claim alone."""
    due = Delivery.objects.due().letters().filter(campaign__in=campaigns, office=OuterRef("pk"))
    rows = OfficePace.objects.filter(Exists(due), next_at__lte=Now()).order_by("next_at", "pk")
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return list(rows.annotate(now=Now()).values_list("pk", "next_at", "office__per_hour", "now")[:limit])


def _due_to(office: int, campaigns: list[int]) -> DeliveryQuerySet:
    rows: DeliveryQuerySet = Delivery.objects.due().letters().filter(campaign__in=campaigns, office=office)
    return rows


def _slowest(due: DeliveryQuerySet, per_hour: dict[int, int]) -> int:
    """The slowest pace that a campaign with letters waiting here asks for."""
    found = due.order_by().values_list("campaign", flat=True).distinct()
    return min((per_hour[pk] for pk in found), default=1)
