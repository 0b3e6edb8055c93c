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
        done += per_hour is not None and _brought_forward(office, interval(per_hour), now)
    for domain in Destination.objects.filter(next_at__gt=now):
        gap = max(domain.gap, interval(domain.per_hour) if domain.per_hour else 0.0)
        done += _brought_forward(domain, gap, now)
    for relay in RelayPace.objects.filter(next_at__gt=now):
        done += _brought_forward(relay, interval(relay.per_hour) if relay.per_hour else 0.0, now)
    return done


def _brought_forward(row: OfficePace | Destination | RelayPace, gap: float, now: datetime) -> bool:
    """Whether its next time lay further ahead than such a gap ever puts it; then it is now."""
    furthest = now + timedelta(seconds=(gap + BURST) * (1 + JITTER) + 1)
    if row.next_at <= furthest:
        return False
    row.next_at = now
    row.save(update_fields=["next_at"])
    return True
