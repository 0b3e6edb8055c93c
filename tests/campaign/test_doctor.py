"""`manage.py doctor`: what it says of backing and relays, whole or broken, and how it ends."""

import io
import json
import os
import socket
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from celery import Celery
from django.core.mail import mailers
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from campaign import environment
from campaign.checkup import backing, disk, examining, findings, relays
from campaign.checkup.findings import Severity
from campaign.rehearsal.servers import free_port, spawn, stop
from letters import lifecycle
from letters.models import Shift
from tests import builders
from tests.relay import EXTENSIONS, Relay
from tests.relay_faults import Fault

pytestmark = pytest.mark.django_db
PROCESSES = 3
OK, INFO, WARNING, ERROR = Severity


@pytest.fixture(autouse=True)
def own_journal(settings, tmp_path):
    settings.JOURNAL_DIR = str(tmp_path / "journal")


@pytest.fixture(scope="module")
def worker(valkey_url, tmp_path_factory):
    """A real worker that nobody rings for."""
    folder = tmp_path_factory.mktemp("worker")
    nowhere = {"REDIS_URL": valkey_url, "DATABASE_URL": f"sqlite:///{folder}/none.sqlite3"}
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "campaign",
        "worker",
        "-P",
        "threads",
        "-c",
        str(PROCESSES),
    ]
    running = spawn(command, log=folder / "log", env=os.environ | nowhere)
    deadline = time.monotonic() + 30
    with Celery(broker=valkey_url, set_as_current=False) as app:
        while not app.control.inspect(timeout=0.5).stats():
            assert time.monotonic() < deadline, (folder / "log").read_text()
    yield valkey_url
    stop(running)


@pytest.fixture
def relay(settings, monkeypatch):
    with Relay() as running:
        use(running.url, settings, monkeypatch)
        yield running


def use(url, settings, monkeypatch):
    """All mailers from one URL."""
    monkeypatch.setenv("TEST_MAIL_URL", url)
    settings.MAILERS = {alias: environment.mailer("TEST_MAIL_URL") for alias in mailers.settings}


def doctor(*words):
    """(exit code, output)"""
    out = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("doctor", *words, stdout=out)
    return end.value.code, out.getvalue()


def report(*words):
    code, text = doctor("--json", *words)
    told = json.loads(text)
    assert told["exit_code"] == code
    return told


def of(told, check):
    """(severity, what) of one check."""
    return [(one["severity"], one["what"]) for one in told["findings"] if one["check"] == check]


def one(check):
    [found] = check()
    return found


def lost_database(monkeypatch, tmp_path):
    name = "NAME" if connection.vendor == "sqlite" else "HOST"
    monkeypatch.setitem(connection.settings_dict, name, str(tmp_path / "nowhere" / "database"))


# The whole


def test_all_is_well(worker, relay, settings):
    settings.REDIS_URL = settings.CELERY_BROKER_URL = worker
    Shift.objects.create(name="sending-0", until=timezone.now())
    told = report()
    bad = [one for one in told["findings"] if one["severity"] not in {"ok", "info"}]
    assert bad == []
    assert (told["severity"] in {"ok", "info"}, told["exit_code"]) == (True, 0)
    names = {
        "database",
        "migrations",
        "broker",
        "worker",
        *examining.ON_THIS_MACHINE,
        *examining.IN_THE_DATABASE,
    }
    assert {one["check"] for one in told["findings"]} >= names - {"mailers"}
    assert relay.accepted == []


def test_the_report_has_a_shape(relay):
    told = report()
    assert list(told) == ["severity", "exit_code", "at", "findings"]
    for row in told["findings"]:
        assert list(row) == ["check", "severity", "what", "mend"]
        assert row["severity"] in {"ok", "info", "warning", "error"}
        assert row["severity"] in {"ok", "info"} or row["mend"]


def test_every_finding_is_a_line_that_says_how_to_mend_it(relay, settings):
    settings.REDIS_URL = f"redis://:secret@127.0.0.1:{free_port()}/0"
    code, text = doctor()
    assert code == 2
    [line] = [line for line in text.splitlines() if " broker: " in line]
    assert line.startswith("error ")
    assert "does not answer" in line
    assert line.endswith("→ start Redis or Valkey, or correct REDIS_URL")
    assert "secret" not in text
    assert text.splitlines()[-1].startswith("errors: 1, ")


def test_warnings_alone_end_with_one(worker, relay, settings):
    settings.REDIS_URL = settings.CELERY_BROKER_URL = worker
    settings.SEND_PLACES = PROCESSES
    Shift.objects.create(name="sending-0", until=timezone.now())
    told = report()
    assert (told["severity"], told["exit_code"]) == ("warning", 1)
    assert [severity for severity, _ in of(told, "worker")] == ["warning"]


def test_without_a_database_the_others_are_still_looked_at(relay, settings, monkeypatch, tmp_path):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    lost_database(monkeypatch, tmp_path)
    told = report()
    assert told["exit_code"] == 2
    assert of(told, "database")[0][0] == "error"
    assert of(told, "broker")[0][0] == "error"
    assert of(told, "worker") == [("info", "not asked: the broker is away")]
    assert [severity for severity, what in of(told, "relay") if "answers" in what] == ["ok"] * 3
    assert of(told, "ledger")[0][1].startswith("not looked at: ")
    assert of(told, "letters") == []


def test_a_check_that_breaks_off_is_said_and_the_others_go_on(relay, monkeypatch):
    monkeypatch.setitem(examining.IN_THE_DATABASE, "clocks", lambda: 1 / 0)
    told = report()
    [(severity, what)] = of(told, "clocks")
    assert (severity, what) == ("warning", "could not be looked at: ZeroDivisionError: division by zero")
    assert of(told, "canary")


@pytest.mark.parametrize("hostile", ["\n", "\r\n", "\u2028", "\x1b[31m", "\x00", "\u202e"])
def test_strangers_words_stay_on_their_line(hostile):
    line = str(replace(findings.warning(f"421 {hostile} no", "call them"), check="relay"))
    assert line == "warning  relay: 421 no → call them" or "[31m no" in line
    assert hostile not in line


# Services


def test_tables_of_another_version_are_not_read(relay):
    app_label, name = MigrationLoader(connection).graph.leaf_nodes("letters")[0]
    MigrationRecorder(connection).record_unapplied(app_label, name)
    told = report()
    assert of(told, "migrations") == [("error", f"not applied: letters.{name}")]
    assert of(told, "letters") == []


@pytest.mark.parametrize(
    ("ahead", "severity", "words"),
    [(0, OK, "agree"), (4, OK, "agree"), (60, WARNING, "60 s behind"), (-600, WARNING, "10 min ahead of")],
)
def test_a_clock_that_is_wrong(monkeypatch, ahead, severity, words):
    monkeypatch.setattr(backing, "database_time", lambda: timezone.now() + timedelta(seconds=ahead))
    found = one(backing.clocks)
    assert found.severity == severity
    assert words in found.what


def test_a_broker_that_takes_connections_and_says_nothing_costs_three_seconds(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        begun = time.monotonic()
        assert one(backing.broker).severity == ERROR
        assert time.monotonic() - begun < backing.SECONDS + 1


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "redis://127.0.0.1:99999/", "nonsense"])
def test_a_broker_that_cannot_be_one(settings, url):
    settings.REDIS_URL = url
    assert one(backing.broker).severity == ERROR


def test_no_worker_answers(valkey_url, settings):
    nobody_there = valkey_url.removesuffix("/0") + "/7"
    settings.REDIS_URL = settings.CELERY_BROKER_URL = nobody_there
    assert one(backing.broker).severity == OK
    found = one(backing.workers)
    assert (found.severity, found.what) == (ERROR, "no worker answers")
    assert "celery -A campaign worker" in found.mend


@pytest.mark.parametrize(
    ("seconds", "running", "severity"),
    [(None, False, WARNING), (None, True, ERROR), (120, False, WARNING), (120, True, ERROR), (5, True, OK),
     (-70, True, OK)],
)  # fmt: skip
def test_nobody_looks_for_due_mail(seconds, running, severity):
    if running:
        builders.known_world()
        lifecycle.launch(builders.open_campaign(), by="test")
    if seconds is not None:
        Shift.objects.create(name="sending-1", until=timezone.now() - timedelta(seconds=seconds))
        Shift.objects.create(name="sending-0", until=timezone.now() - timedelta(days=1))
    Shift.objects.create(name="filing-0", until=timezone.now())
    found = one(backing.rounds)
    assert found.severity == severity
    assert severity == OK or "celery -A campaign beat" in found.mend


# Relays


def judged(mailer="letters"):
    return [one for one in relays.reachable() if one.what.startswith(mailer) and "only" not in one.what]


def test_a_relay_is_asked_up_to_the_first_message_and_no_further(relay):
    [found] = judged()
    assert found.severity == OK
    assert "without TLS" in found.what
    assert relay.connections == 1  # the three mailers have the same
    assert {event.stage for event in relay.log} <= {"connect", "hello"}


@pytest.mark.parametrize(
    ("fault", "words", "mend"),
    [
        (Fault("connect", "554 5.7.1 go away"), "connect: 554", "host, port"),
        (Fault("connect", "421 4.7.0 too many"), "connect: 421", "host, port"),
        (Fault("hello", "550 5.7.1 who are you"), "hello: 550", "SITE_URL"),
        (Fault("auth", "535 5.7.8 wrong"), "auth: 535", "user and password in LETTERS_MAIL_URL"),
        (Fault("connect", hang=30), "no answer in 2 s", "start the relay"),
    ],
)
def test_a_relay_that_turns_us_away(relay, settings, monkeypatch, fault, words, mend):
    use(relay.url.replace("://", "://user:word@"), settings, monkeypatch)
    relay.faults.append(fault)
    begun = time.monotonic()
    [found] = judged()
    assert time.monotonic() - begun < backing.SECONDS + 1
    assert found.severity == ERROR
    assert words in found.what
    assert mend in found.mend
    assert "word" not in found.what.replace("password", "")


def test_a_relay_that_does_not_pipeline_will_be_slow(relay):
    relay.extensions = tuple(one for one in EXTENSIONS if one != "PIPELINING")
    assert (judged()[0].severity, "will be slow" in judged()[0].what) == (INFO, True)


def test_tls_that_is_demanded_and_not_offered(relay, settings, monkeypatch):
    use(f"smtp://127.0.0.1:{relay.port}", settings, monkeypatch)
    [found] = judged()
    assert found.severity == ERROR
    assert "kind of TLS in LETTERS_MAIL_URL" in found.mend


def test_staff_mail_that_cannot_go_is_no_error(settings, monkeypatch):
    use(f"loopback://127.0.0.1:{free_port()}", settings, monkeypatch)
    severities = [judged(one)[0].severity for one in ("mail to staff", "mail to supporters", "letters")]
    assert severities == [WARNING, ERROR, ERROR]


def test_mailers_that_reach_this_machine_only_are_mentioned(relay):
    told = [one.what for one in relays.reachable() if one.severity == INFO]
    assert "letters: to this machine only" in told


def test_a_provider_is_not_checked_here(settings):
    settings.MAILERS = {"default": {"BACKEND": "anymail.backends.postmark.EmailBackend", "OPTIONS": {}}}
    found = one(relays.reachable)
    assert found.severity == INFO
    assert "not checked here" in found.what


def test_a_loopback_mailer_that_names_another_machine(settings):
    backend = environment.LOOPBACK_BACKEND
    settings.MAILERS = {"letters": {"BACKEND": backend, "OPTIONS": {"host": "mail.example.org"}}}
    found = one(relays.reachable)
    assert (found.severity, found.mend) == (ERROR, "correct LETTERS_MAIL_URL")


# This machine


def test_a_folder_for_journals_that_cannot_be_written(settings, tmp_path):
    (tmp_path / "file").write_text("no folder")
    settings.JOURNAL_DIR = str(tmp_path / "file")
    assert one(disk.folder).severity == ERROR


def test_a_folder_for_journals_is_not_made_by_looking(settings, tmp_path):
    settings.JOURNAL_DIR = str(tmp_path / "a" / "b")
    assert one(disk.folder).severity == OK
    assert not (tmp_path / "a").exists()


def test_a_disk_that_is_nearly_full(monkeypatch):
    monkeypatch.setattr(disk, "FREE", 10**18)
    assert one(disk.folder).severity == WARNING
