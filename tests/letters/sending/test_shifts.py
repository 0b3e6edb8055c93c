"""So many workers at a time, by the database's clock."""

from datetime import timedelta

import pytest
from django.utils import timezone

from letters.models.clock import Shift, database_time
from letters.sending import recovery
from letters.sending.shifts import shift
from tests.letters.sending.steps import died

pytestmark = pytest.mark.django_db


def test_a_place_is_taken_once_and_given_back():
    with shift("sending", places=1, seconds=60) as mine:
        assert mine
        with shift("sending", places=1, seconds=60) as another:
            assert not another
    with shift("sending", places=1, seconds=60) as again:
        assert again


def test_there_are_as_many_places_as_said():
    with (
        shift("sending", places=2, seconds=60) as first,
        shift("sending", places=2, seconds=60) as second,
        shift("sending", places=2, seconds=60) as third,
    ):
        assert [bool(one) for one in (first, second, third)] == [True, True, False]


def test_other_work_has_places_of_its_own():
    with shift("sending", places=1, seconds=60), shift("filing", places=1, seconds=60) as mine:
        assert mine


def test_a_killed_worker_leaves_its_place_when_its_time_is_over():
    Shift.objects.create(name="sending-0", holder="killed", until=timezone.now() + timedelta(seconds=60))
    with shift("sending", places=1, seconds=60) as too_early:
        assert not too_early
    Shift.objects.update(until=timezone.now() - timedelta(seconds=1))
    with shift("sending", places=1, seconds=60) as mine:
        assert mine


def test_a_late_worker_does_not_give_away_its_successors_place():
    with shift("sending", places=1, seconds=60):
        Shift.objects.update(holder="successor")
    assert Shift.objects.get().holder == "successor"


def test_the_databases_clock_is_read():
    assert abs(database_time() - timezone.now()) < timedelta(seconds=10)


def test_a_dead_workers_journal_frees_its_place_at_once():
    Shift.objects.create(name="sending-0", holder="killed", until=timezone.now() + timedelta(seconds=60))
    died("killed")
    recovery.recover()
    with shift("sending", places=1, seconds=60) as mine:
        assert mine
