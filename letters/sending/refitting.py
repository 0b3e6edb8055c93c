"""Timetables made for a slower pace are made anew, so that a change of pace counts without a restart."""

from datetime import datetime, timedelta

from django.db.models import Min

from letters.models import Campaign, Destination, OfficePace, RelayPace
from letters.models.clock import database_time
from letters.rules.pacing import BURST, JITTER, interval


def refit() -> int:
    """Lets go at once what waits longer than the pace asks for now; returns how many. May run at any time."""
    now = database_time()
    running = Campaign.objects.filter(sending=Campaign.Sending.RUNNING)
    slowest = running.aggregate(least=Min("per_office_hour"))["least"]
    done = 0
    for office in OfficePace.objects.filter(next_at__gt=now).select_related("office"):
        per_hour = office.office.per_hour or slowest
        if per_hour is not None and office.next_at > _furthest(interval(per_hour), now):
            # Only if no claim has written another time meanwhile.
            done += OfficePace.objects.filter(pk=office.pk, next_at=office.next_at).update(next_at=now)
    for domain in Destination.objects.filter(next_at__gt=now):
        gap = max(domain.gap, interval(domain.per_hour) if domain.per_hour else 0.0)
        if domain.next_at > _furthest(gap, now):
            done += Destination.objects.filter(pk=domain.pk, next_at=domain.next_at).update(next_at=now)
    for relay in RelayPace.objects.filter(next_at__gt=now):
        if relay.next_at > _furthest(interval(relay.per_hour) if relay.per_hour else 0.0, now):
            done += RelayPace.objects.filter(pk=relay.pk, next_at=relay.next_at).update(next_at=now)
    return done


def _furthest(gap: float, now: datetime) -> datetime:
    """Further ahead than this no such gap puts the next time."""
    return now + timedelta(seconds=(gap + BURST) * (1 + JITTER) + 1)
