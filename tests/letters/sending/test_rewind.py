"""A restored backup is noticed by what this machine remembers, and nothing leaves until a person says so."""

import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from letters.models import Delivery, Odometer, RelayPace
from letters.sending import journal, preparing, rewind, rounds
from letters.sending.rewind import noticed
from tests.builders import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def notes() -> dict[str, int]:
    """What this machine remembers, by file."""
    return {path.name: int(path.read_text()) for path in journal.home().glob("*.rounds")}


def counted() -> int:
    return Odometer.objects.get().rounds


def some_rounds(number: int = 5) -> None:
    for _ in range(number):
        assert not noticed()


def restore(*, back: int) -> None:
    """The database as it was so many rounds ago."""
    Odometer.objects.update(rounds=F("rounds") - back)


def restore_empty() -> None:
    """The database as it was before the first round."""
    Odometer.objects.all().delete()


def held() -> list[str]:
    rows = RelayPace.objects.filter(rest_until__gte=rewind.UNTIL_RELEASED, trouble=rewind.TROUBLE)
    return sorted(rows.values_list("name", flat=True))


def mail() -> Delivery:
    return Delivery.objects.create(kind="notice", recipient="a@people.example", message_id="<n@x.example>")


def test_every_round_is_counted_and_noted():
    some_rounds(3)
    row = Odometer.objects.get()
    assert notes() == {f"{row.identity}.rounds": 3}
    assert row.rounds == 3
    assert held() == []


@pytest.mark.parametrize("back", [1, 2, 5])
def test_an_older_database_is_noticed_once_and_held(back, caplog):
    some_rounds(6)
    restore(back=back)
    with caplog.at_level(logging.ERROR):
        assert noticed()
    assert caplog.messages == [rewind.TROUBLE]
    assert held() == ["letters", "supporters"]
    assert not noticed()
    assert held() == ["letters", "supporters"]


def test_the_same_database_again_is_no_older_one():
    some_rounds()
    restore(back=0)
    assert not noticed()


def test_held_relays_are_given_nothing():
    some_rounds()
    mail()
    restore(back=2)
    assert rounds.send_due(5) == 0
    assert rounds.send_due(5) == 0
    assert Delivery.objects.get().state == "waiting"
    for alias in ("supporters", "letters"):
        assert preparing.claim("worker", alias, 5).shut


def test_a_relay_in_trouble_does_not_cut_the_hold_short(relay):
    """A worker's own rest, from before the backup was restored, is told again by its next round."""
    some_rounds()
    mine = rounds.Round("mine")
    for one in mine.wickets:
        one.counter.rest_until = mine.lines.loop.time() + 60
    restore(back=2)
    assert noticed()
    mine.run(0)
    assert held() == ["letters", "supporters"]


def test_a_person_releases_it_and_it_stays_released():
    some_rounds()
    restore(back=3)
    assert noticed()
    assert rewind.release() == 2
    assert rewind.release() == 0
    some_rounds(2)
    assert not RelayPace.objects.exclude(trouble="").exists()
    assert not RelayPace.objects.filter(rest_until__gt=timezone.now()).exists()


def test_a_release_leaves_other_rests_alone():
    later = timezone.now() + timedelta(hours=1)
    RelayPace.objects.create(name="letters", rest_until=later, trouble="421 4.7.0 too many")
    assert rewind.release() == 0
    row = RelayPace.objects.get()
    assert (row.rest_until, row.trouble) == (later, "421 4.7.0 too many")


def test_the_same_backup_restored_again_is_noticed_again():
    some_rounds()
    for _ in range(2):
        Odometer.objects.update(rounds=3)
        assert noticed()
        assert rewind.release() == 2


def test_machines_that_notice_later_do_not_hold_again_what_was_released(settings, tmp_path):
    some_rounds(3)
    settings.JOURNAL_DIR = str(tmp_path / "another")
    some_rounds(4)
    restore(back=5)
    assert noticed()
    rewind.release()
    settings.JOURNAL_DIR = str(tmp_path / "journal")
    some_rounds(2)
    assert held() == []


def test_each_machine_notices_by_itself(settings, tmp_path):
    settings.JOURNAL_DIR = str(tmp_path / "another")
    some_rounds(4)
    settings.JOURNAL_DIR = str(tmp_path / "new")
    restore(back=3)
    assert not noticed()  # a new machine remembers nothing
    settings.JOURNAL_DIR = str(tmp_path / "another")
    assert noticed()


def test_a_database_restored_under_another_address_is_noticed(monkeypatch, tmp_path):
    some_rounds()
    restore(back=2)
    monkeypatch.setattr(journal, "home", lambda: tmp_path / "journal" / "another")
    assert noticed()


def test_a_copy_on_the_same_disk_is_held_once_and_then_counted_apart(monkeypatch, tmp_path):
    some_rounds()
    copy, original = 3, counted()
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(journal, "home", lambda: tmp_path / "journal" / "another")
        Odometer.objects.update(rounds=copy)
        assert noticed()
        some_rounds(10)
    Odometer.objects.update(rounds=original)
    assert not noticed()


# Databases that were never counted


def test_a_new_database_is_not_taken_for_an_older_one():
    some_rounds()
    restore_empty()
    some_rounds(2)
    assert len(notes()) == 2
    assert held() == []


def test_a_new_database_with_letters_of_its_own_is_not_taken_for_an_older_one():
    some_rounds()
    past = time.time() - 60
    for path in journal.home().glob("*.rounds"):
        os.utime(path, (past, past))
    restore_empty()
    mail()
    assert not noticed()


def test_a_backup_from_before_the_first_round_is_noticed():
    mail()
    some_rounds()
    restore_empty()
    assert noticed()
    assert held() == ["letters", "supporters"]


def test_letters_without_any_memory_of_a_round_are_no_reason():
    mail()
    assert not noticed()


# The note on the disk


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"\xff\xfe", b"7 8"])
def test_a_note_that_cannot_be_read_stops_nothing(content):
    some_rounds()
    [path] = journal.home().glob("*.rounds")
    path.write_bytes(content)
    restore(back=3)
    assert not noticed()
    assert list(notes().values()) == [counted()]


def test_a_folder_that_cannot_be_written_stops_nothing(settings, tmp_path, caplog):
    settings.JOURNAL_DIR = str(tmp_path / "file")
    (tmp_path / "file").write_text("in the way")
    some_rounds(2)
    assert "a restored backup would not be noticed" in caplog.text


def test_a_full_disk_leaves_nothing_half_written(monkeypatch):
    some_rounds()
    before = notes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    some_rounds()
    assert notes() == before
    assert len(list(journal.home().iterdir())) == 1


def test_a_round_whose_count_is_rolled_back_is_not_noted():
    some_rounds()
    with transaction.atomic():
        assert not noticed()
        transaction.set_rollback(True)
    assert list(notes().values()) == [counted()]
    assert not noticed()


def test_a_round_that_breaks_off_while_counting_is_not_noted(monkeypatch):
    some_rounds()
    before = notes()
    monkeypatch.setattr(rewind, "_remembered", lambda identity: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        noticed()
    assert notes() == before


# Many at once


def test_rounds_that_begin_together_raise_no_alarm():
    def often() -> int:
        return sum(noticed() for _ in range(15))

    assert at_once(*[often] * 6) == [0] * 6
    assert held() == []
    assert counted() == 90
    assert 90 - 6 <= max(notes().values()) <= 90
    assert len(notes()) == 1


def test_of_rounds_that_begin_together_one_notices_and_none_sends():
    some_rounds()
    restore(back=4)
    found = at_once(*[noticed] * 6)
    assert sorted(found) == [False] * 5 + [True]
    assert held() == ["letters", "supporters"]
