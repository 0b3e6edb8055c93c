"""When to try again, when to give up, and how far apart letters go. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, HOUR = 60.0, 3600.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Two hours of quarters: whoever greylists, whatever its window, is asked again soon after it (RFC 6647 §5).
STEPS = (1 * MINUTE, 4 * MINUTE, 10 * MINUTE, *[15 * MINUTE] * 10, *[n * HOUR for n in (0.5, 1, 2, 4, 8)])
GIVE_UP_AFTER = timedelta(days=4, hours=12)  # RFC 5321 §4.5.4.1: at least 4–5 days
TRIES_AT_LEAST = 5  # before a message is given up
BURST = 5.0  # seconds of an office's idle time that may be made up for at once
JITTER = 0.2  # of a wait, at most: so that many do not come at the same time
SLOWEST = 60.0  # seconds between two messages to a domain that keeps saying “later”
OFFICE_HOURS = range(8, 18)  # begun hours of a working day, where the ministry is


def backoff(attempts: int, chance: float) -> float:
    """Seconds to wait after a temporary refusal, growing to eight hours; `chance` in [0, 1) shortens some."""
    step = STEPS[min(max(attempts, 1), len(STEPS)) - 1]
    return step * (1 - JITTER * chance)


def give_up(first_tried: datetime | None, now: datetime, *, tries: int) -> bool:
    """Whether a message has been refused for long enough, and not only left alone for long."""
    return first_tried is not None and now - first_tried >= GIVE_UP_AFTER and tries >= TRIES_AT_LEAST


def slower(gap: float) -> float:
    """Seconds between two messages to a domain that said “later” once more."""
    return min(SLOWEST, max(1.0, gap * 2))


def faster(gap: float) -> float:
    """Seconds between two messages to a domain that took one again; in the end none."""
    return gap / 2 if gap > 1 else 0.0


def office_open(now: datetime, *, zone: str, weekend: str) -> bool:
    """Whether a ministry works now: by its capital's time zone (IANA name) and weekend (“fri sat”)."""
    there = now.astimezone(ZoneInfo(zone))
    return there.hour in OFFICE_HOURS and DAYS[there.weekday()] not in weekend.split()


def interval(per_hour: int) -> float:
    """Seconds between two letters to one office. Raises ValueError unless per_hour ≥ 1."""
    if per_hour < 1:
        raise ValueError("An office takes at least one letter an hour, or is switched off.")
    return HOUR / per_hour


@dataclass(frozen=True)
class Pace:
    """A timetable: when the next letter may go, and the seconds between two."""

    next_at: datetime
    gap: float

    def ready(self, now: datetime) -> int:
        """How many letters may go now: none, one, or what a few idle seconds have saved up."""
        if self.next_at > now:
            return 0
        saved = min((now - self.next_at).total_seconds(), BURST)
        return 1 + int(saved / self.gap)

    def after(self, now: datetime, gone: int, chance: float = 0.0) -> datetime:
        """When the next letter may go once so many have gone; `chance` in [0, 1) makes it a little later."""
        earliest = max(self.next_at, now - timedelta(seconds=BURST))
        return earliest + timedelta(seconds=self.gap * gone * (1 + JITTER * chance)) if gone else self.next_at
