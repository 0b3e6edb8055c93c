"""When to try again, when to give up, and how far apart letters to one office go. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE, HOUR = 60.0, 3600.0
STEPS = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 1 * HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
GIVE_UP_AFTER = timedelta(days=4, hours=12)  # RFC 5321 §4.5.4.1: at least 4–5 days
BURST = 5.0  # seconds of an office's idle time that may be made up for at once
JITTER = 0.2  # of the wait: so that many do not come back together


def backoff(attempts: int, chance: float) -> float:
    """Seconds to wait after a temporary refusal, growing to eight hours; `chance` in [0, 1) spreads them."""
    step = STEPS[min(max(attempts, 1), len(STEPS)) - 1]
    return step * (1 + JITTER * (2 * chance - 1))


def give_up(first_tried: datetime | None, now: datetime) -> bool:
    """Whether a message has been refused for long enough."""
    return first_tried is not None and now - first_tried >= GIVE_UP_AFTER


def interval(per_hour: int) -> float:
    """Seconds between two letters to one office. Raises ValueError unless per_hour ≥ 1."""
    if per_hour < 1:
        raise ValueError("An office takes at least one letter an hour, or is switched off.")
    return HOUR / per_hour


@dataclass(frozen=True)
class Pace:
    """An office's timetable: when its next letter may go, and the seconds between two."""

    next_at: datetime
    gap: float

    def ready(self, now: datetime) -> int:
        """How many letters may go now: none, one, or what a few idle seconds have saved up."""
        if self.next_at > now:
            return 0
        saved = min((now - self.next_at).total_seconds(), BURST)
        return 1 + int(saved / self.gap)

    def after(self, now: datetime, gone: int) -> datetime:
        """When the next letter may go once so many have gone."""
        earliest = max(self.next_at, now - timedelta(seconds=BURST))
        return earliest + timedelta(seconds=self.gap * gone) if gone else self.next_at
