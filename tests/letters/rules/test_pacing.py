"""Retries back off and end; letters to one office keep their distance."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.rules.pacing import (
    BURST,
    HOUR,
    JITTER,
    STEPS,
    Pace,
    backoff,
    faster,
    give_up,
    interval,
    office_open,
    slower,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHANCES = st.floats(0, 1, exclude_max=True)
GAPS = st.floats(0.01, HOUR)


@given(st.integers(1, len(STEPS)), CHANCES)
def test_a_wait_is_spread_by_a_fifth_and_never_longer_than_its_step(attempts: int, chance: float) -> None:
    step = STEPS[attempts - 1]

    assert step * (1 - JITTER) <= backoff(attempts, chance) <= step


def test_waits_grow_to_eight_hours_and_stay_there() -> None:
    waits = [backoff(attempts, 0.0) for attempts in range(1, 40)]

    assert waits == sorted(waits)
    assert (waits[0], waits[-1], len(set(waits))) == (60, 8 * HOUR, 9)
    assert backoff(-1, 0.0) == backoff(0, 0.0) == 60


@given(st.floats(1, 2 * HOUR), CHANCES)
def test_whatever_the_window_of_a_greylist_it_is_asked_again_within_a_quarter_of_an_hour(
    window: float, chance: float
) -> None:
    tried, attempts = 0.0, 0
    while tried < window:
        attempts += 1
        tried += backoff(attempts, chance)

    assert tried - window <= 15 * 60


def test_a_domain_that_says_later_is_slowed_down_to_one_a_minute_and_forgiven() -> None:
    gaps = [0.0]
    while gaps[-1] < 60:
        gaps.append(slower(gaps[-1]))
    assert gaps == [0, 1, 2, 4, 8, 16, 32, 60]
    assert slower(60) == 60
    while gaps[-1]:
        gaps.append(faster(gaps[-1]))
    assert len(gaps) < 18


@pytest.mark.parametrize(
    ("moment", "zone", "weekend", "works"),
    [
        ("2026-11-23T12:00", "Europe/Paris", "sat sun", True),  # a Monday, one o'clock in Paris
        ("2026-11-23T06:59", "Europe/Paris", "sat sun", False),  # 07:59
        ("2026-11-23T07:00", "Europe/Paris", "sat sun", True),  # 08:00
        ("2026-11-23T17:00", "Europe/Paris", "sat sun", False),  # 18:00
        ("2026-07-23T06:00", "Europe/Paris", "sat sun", True),  # 08:00 in summer
        ("2026-11-22T09:00", "Europe/Paris", "sat sun", False),  # Sunday
        ("2026-11-22T09:00", "Asia/Riyadh", "fri sat", True),
        ("2026-11-20T09:00", "Asia/Riyadh", "fri sat", False),  # Friday
        ("2026-11-22T22:30", "Pacific/Auckland", "sat sun", True),  # Monday there already
        ("2026-11-23T03:00", "Asia/Kathmandu", "sat", True),  # 08:45
    ],
)
def test_a_ministry_works_by_its_own_clock_and_weekend(
    moment: str, zone: str, weekend: str, works: bool
) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert office_open(now, zone=zone, weekend=weekend) is works


@pytest.mark.parametrize(
    ("since", "over"),
    [
        (timedelta(0), False),
        (timedelta(days=4), False),
        (timedelta(days=4, hours=12, microseconds=-1), False),
        (timedelta(days=4, hours=12), True),
        (timedelta(days=5), True),
        (timedelta(days=-3), False),
    ],
)
def test_it_gives_up_between_four_and_five_days(since: timedelta, over: bool) -> None:
    assert give_up(NOW - since, NOW, tries=9) is over


def test_what_was_never_tried_is_not_given_up() -> None:
    assert give_up(None, NOW, tries=9) is False
    assert give_up(NOW - timedelta(days=9), NOW, tries=2) is False  # it was left alone, not refused


@given(CHANCES)
def test_a_letter_refused_for_ever_is_given_up_before_the_fifth_day_ends(chance: float) -> None:
    now, attempts = NOW, 0
    while not give_up(NOW, now, tries=attempts):
        attempts += 1
        now += timedelta(seconds=backoff(attempts, chance))

    assert timedelta(days=4) < now - NOW < timedelta(days=5)
    assert attempts < 40


@pytest.mark.parametrize(("per_hour", "seconds"), [(1, 3600), (60, 60), (3600, 1)])
def test_an_hour_is_shared_out_evenly(per_hour: int, seconds: float) -> None:
    assert interval(per_hour) == seconds


@pytest.mark.parametrize("per_hour", [0, -1])
def test_an_office_that_takes_nothing_is_not_a_matter_of_pace(per_hour: int) -> None:
    with pytest.raises(ValueError, match="switched off"):
        interval(per_hour)


def test_an_office_not_ready_takes_none_and_one_just_ready_takes_one() -> None:
    pace = Pace(next_at=NOW, gap=60)

    assert pace.ready(NOW - timedelta(microseconds=1)) == 0
    assert pace.ready(NOW) == 1
    assert pace.after(NOW, 1) == NOW + timedelta(seconds=60)
    assert pace.after(NOW, 1, chance=0.5) == NOW + timedelta(seconds=66)


def test_idle_hours_save_up_a_few_seconds_only() -> None:
    idle = Pace(next_at=NOW - timedelta(hours=9), gap=1)

    assert idle.ready(NOW) == 1 + BURST
    assert Pace(next_at=idle.after(NOW, idle.ready(NOW)), gap=1).ready(NOW) == 0


def test_nothing_gone_changes_nothing() -> None:
    assert Pace(next_at=NOW, gap=60).after(NOW + timedelta(hours=1), 0) == NOW


@given(GAPS, st.lists(st.floats(0, 300), min_size=1, max_size=60), st.integers(1, 500))
def test_over_any_time_an_office_gets_no_more_than_its_share(
    gap: float, waits: list[float], queue: int
) -> None:
    """Whoever asks, however often: at most elapsed ÷ gap letters, and what a short burst makes up for."""
    pace, now, gone = Pace(next_at=NOW, gap=gap), NOW, 0
    for wait in waits:
        now += timedelta(seconds=wait)
        ready = min(pace.ready(now), queue)
        pace = Pace(next_at=pace.after(now, ready), gap=gap)
        gone += ready

    assert gone <= ((now - NOW).total_seconds() + BURST) / gap + 1.001


@given(GAPS, st.floats(0, 3 * HOUR))
def test_an_office_asked_all_the_time_gets_its_whole_share(gap: float, seconds: float) -> None:
    pace, end, gone = Pace(next_at=NOW, gap=gap), NOW + timedelta(seconds=min(seconds, 300 * gap)), 0
    while pace.next_at <= end:
        gone += 1
        pace = Pace(next_at=pace.after(pace.next_at, 1), gap=gap)

    assert gone == pytest.approx((end - NOW).total_seconds() / gap + 1, abs=1)
