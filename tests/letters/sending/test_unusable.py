"""A mailer or a disk that cannot be used: letters wait, none is in doubt, nothing is left lying about."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from anymail.backends.base_requests import AnymailRequestsBackend
from django.core.mail import InvalidMailer

from letters.models import Campaign, Delivery
from letters.rules.ledger import State
from letters.sending import journal, rounds, transport
from letters.sending.agency import Agency
from letters.sending.jobs import Result, Verdict
from letters.sending.journal import Journal, abandoned
from tests import builders
from tests.letters.sending.steps import posted, running, send_all, time_passes
from tests.provider import Provider, job

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(relay) -> Campaign:
    """A running campaign with three letters for one ministry."""
    builders.office("FR")
    row = running(builders.campaign())
    for _ in range(3):
        posted(row)
    return row


@pytest.fixture
def locked(use, monkeypatch):
    """A provider whose mailer cannot be opened, for whatever reason."""

    def made(error: Exception) -> None:
        def refuse(mailer: Any) -> None:
            raise error

        monkeypatch.setattr(AnymailRequestsBackend, "open", refuse)

    with Provider() as provider:
        use("postmark", provider.url)
        yield made
    assert provider.asked == []


def everything_waits() -> bool:
    return set(Delivery.objects.values_list("state", "attempts")) == {(State.WAITING, 0)}


def files_open() -> list[str]:
    """The files that this process has open, by the system's own list."""
    names = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was the list itself
            names.append(str(file.readlink()))
    return sorted(names)


UNOPENED = [ImportError("no module named boto3"), OSError("no such file"), ValueError("bad key")]


@pytest.mark.parametrize("error", UNOPENED, ids=lambda error: type(error).__name__)
def test_a_provider_that_cannot_be_opened_leaves_the_letters_waiting(campaign, locked, error):
    locked(error)
    for _ in range(2):
        time_passes()
        with pytest.raises(type(error), match=str(error)):
            rounds.send_due(1)
        assert everything_waits()
    assert journal.all_files() == []


@pytest.mark.parametrize("error", UNOPENED, ids=lambda error: type(error).__name__)
def test_of_what_was_never_offered_the_journal_says_nothing(locked, tmp_path, error):
    locked(error)
    agency = Agency("letters")
    agency.journal = Journal("round", tmp_path)
    agency.put([job(number) for number in range(25)])
    with pytest.raises(type(error), match=str(error)):
        agency.offer()
    agency.recall("the round broke off")
    assert [result.verdict for _, result in agency.results] == [Verdict.UNTOUCHED] * 25
    assert (tmp_path / "round.journal").read_text().splitlines()[1:] == []
    agency.journal.close(settled=True)


def test_a_mailer_that_is_refused_leaves_no_journal_and_no_file_open(campaign, settings):
    settings.MAILERS = settings.MAILERS | {
        "letters": {
            "BACKEND": "letters.sending.backends.LoopbackBackend",
            "OPTIONS": {"host": "relay.example", "port": 25},
        }
    }
    transport.lines()  # the thread's loop stays open, as it should
    before = files_open()
    for _ in range(3):
        with pytest.raises(InvalidMailer):
            rounds.send_due(1)
    assert (files_open(), journal.all_files()) == (before, [])
    assert everything_waits()


@pytest.mark.parametrize("disk", ["refuses", "takes nothing", "has no room for a file"])
def test_without_room_for_a_journal_nothing_is_sent(campaign, relay, monkeypatch, disk):
    full = OSError(errno.ENOSPC, "No space left on device")
    create = os.open

    def refuse(*_: Any) -> int:
        raise full

    def no_file(path: Any, *options: Any, **named: Any) -> int:
        if str(path).endswith(journal.ENDING):
            raise full
        return create(path, *options, **named)

    with monkeypatch.context() as patched:
        if disk == "has no room for a file":
            patched.setattr(journal.os, "open", no_file)
        else:
            patched.setattr(journal.os, "write", refuse if disk == "refuses" else lambda file, data: 0)
        with pytest.raises(OSError) as raised:  # noqa: PT011  its number is looked at
            rounds.send_due(1)
    assert raised.value.errno == errno.ENOSPC
    assert relay.connections == 0
    assert everything_waits()
    assert journal.all_files() == []
    assert not [name for name in files_open() if journal.ENDING in name]


def test_once_there_is_room_again_the_letters_go(campaign, relay, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "write", lambda file, data: 0)
        with pytest.raises(OSError, match="could not be written"):
            rounds.send_due(1)
    assert send_all() == 3


@pytest.mark.parametrize("arrived", [0, 1, 6, 8])
def test_a_line_that_was_torn_off_does_not_swallow_the_next_one(tmp_path, monkeypatch, arrived):
    mine = Journal("round", tmp_path)
    mine.dot(5)
    with monkeypatch.context() as patched:
        write = os.write
        patched.setattr(journal.os, "write", lambda file, data: write(file, data[:arrived]) and arrived)
        with pytest.raises(OSError, match="could not be written"):
            mine.dot(1234)
    mine.answer(5, Result(Verdict.TAKEN, "2.0.0 queued"))
    mine.dot(7)
    mine.close(settled=False)
    with abandoned(mine.path) as found:
        assert found is not None
        assert found.results == {5: Result(Verdict.TAKEN, "2.0.0 queued")}
        assert {5, 7} <= found.dotted


def test_an_answer_that_found_no_room_is_written_with_the_next(tmp_path, monkeypatch):
    mine = Journal("round", tmp_path)
    mine.dot(5)
    mine.answer(5, Result(Verdict.TAKEN, "2.0.0 queued"))
    with monkeypatch.context() as patched:
        write = os.write
        patched.setattr(journal.os, "write", lambda file, data: write(file, data[:9]))
        mine.save()
    mine.answer(6, Result(Verdict.REFUSED, "rcpt: 550 5.1.1 no"))
    mine.save()
    mine.close(settled=False)
    with abandoned(mine.path) as found:
        assert found is not None
        assert {number: result.verdict for number, result in found.results.items()} == {
            5: Verdict.TAKEN,
            6: Verdict.REFUSED,
        }
