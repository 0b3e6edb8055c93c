"""A dead worker's journal tells what can have left; a living one's is nobody else's."""

import os
import signal
import subprocess
import sys

import pytest

from letters.sending import journal
from letters.sending.jobs import Result, Verdict
from letters.sending.journal import Found, Journal, abandoned

LEAVES_A_DOT = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from letters.sending.journal import Journal
mine = Journal("killed", Path(sys.argv[1]))
mine.dot(7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def read(path) -> Found | None:
    with abandoned(path) as found:
        return found


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journals"


def test_what_was_noted_is_found_once_its_owner_is_gone(folder):
    mine = Journal("round", folder)
    for number in (1, 2, 3):
        mine.dot(number)
    mine.answer(1, Result(Verdict.TAKEN, "2.0.0 Ok: queued as 4F2"))
    mine.answer(2, Result(Verdict.REFUSED, "rcpt: 550\n5.1.1 no", provider_id="p-2"))
    assert read(mine.path) is None
    mine.close(settled=False)
    found = read(mine.path)
    assert found is not None
    assert (found.name, found.trusted, found.dotted) == ("round", True, {1, 2, 3})
    assert found.results == {
        1: Result(Verdict.TAKEN, "2.0.0 Ok: queued as 4F2"),
        2: Result(Verdict.REFUSED, "rcpt: 550 5.1.1 no", provider_id="p-2"),
    }
    assert not mine.path.exists()


def test_a_round_that_is_settled_leaves_nothing(folder):
    mine = Journal("round", folder)
    mine.close(settled=True)
    assert list(folder.iterdir()) == []


def test_killed_the_owner_loses_its_lock_and_keeps_its_words(folder):
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_A_DOT, str(folder)],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "campaign.settings"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    found = read(folder / "killed.journal")
    assert found is not None
    assert found.dotted == {7}


def test_while_it_is_settled_somebody_else_keeps_off_and_a_failure_leaves_it(folder):
    mine = Journal("round", folder)
    mine.close(settled=False)
    with pytest.raises(ZeroDivisionError):
        settle_badly(mine)
    assert read(mine.path) is not None


def settle_badly(mine: Journal) -> None:
    with abandoned(mine.path):
        assert read(mine.path) is None
        raise ZeroDivisionError


def test_what_another_boot_wrote_is_not_believed_where_it_is_silent(folder, monkeypatch):
    mine = Journal("round", folder)
    mine.dot(1)
    mine.close(settled=False)
    monkeypatch.setattr(journal, "_boot", lambda: "another")
    found = read(mine.path)
    assert found is not None
    assert (found.trusted, found.dotted) == (False, {1})


@pytest.mark.parametrize(
    "rest", ["", "dot", "dot 12", "taken 12 - 2.0.0 O", "taken twelve - x\n", "\xff\xfe\n"]
)
def test_a_last_line_that_was_cut_off_says_nothing(folder, rest):
    mine = Journal("round", folder)
    mine.dot(1)
    mine.close(settled=False)
    with open(mine.path, "a", encoding="latin-1") as file:
        file.write(rest)
    found = read(mine.path)
    assert found is not None
    assert (found.dotted, found.results) == ({1}, {})


def test_without_a_folder_it_keeps_nothing_and_says_so(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    mine = Journal("round", tmp_path / "file" / "folder")
    mine.dot(1)
    mine.answer(1, Result(Verdict.TAKEN, "ok"))
    mine.close(settled=True)
    assert not mine.kept
    assert "no journal" in caplog.text


def test_a_disk_that_is_full_is_told(folder, monkeypatch):
    mine = Journal("round", folder)
    monkeypatch.setattr(journal.os, "write", lambda file, data: 0)
    with pytest.raises(OSError, match="could not be written"):
        mine.dot(1)


def test_two_databases_on_one_disk_never_read_each_others(settings, tmp_path, monkeypatch):
    settings.JOURNAL_DIR = str(tmp_path)
    first = journal.home()
    monkeypatch.setitem(journal.connection.settings_dict, "NAME", "another")
    assert journal.home() != first
    assert journal.all_files() == []
