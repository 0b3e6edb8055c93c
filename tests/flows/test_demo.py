"""`manage.py demo` as a newcomer starts it: everything real but the world, nothing left behind."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from campaign.rehearsal.ministries import MINISTRIES
from campaign.rehearsal.supporters import PEOPLE

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240  # for a whole rehearsal on a busy machine
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")


@contextmanager
def demo(folder, *arguments, **environment):
    """A demo whose files are below `folder`; ended if the test does not end it."""
    command = [sys.executable, str(ROOT / "manage.py"), "demo", *arguments]
    environment = os.environ | {"TMPDIR": str(folder)} | environment
    with (
        open(folder / "stderr.txt", "w") as errors,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("d")


def last_line(process, folder):
    out, _ = process.communicate(timeout=SECONDS)
    assert out.strip(), (folder / "stderr.txt").read_text()
    return json.loads(out.strip().splitlines()[-1])


def children_once(wanted, process, seconds=60):
    """All processes of a demo, as soon as one whose command line contains `wanted` is among them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        if any(wanted in command_of(child) for child in children):
            return children
        time.sleep(0.05)
    raise AssertionError(f"no process {wanted!r} within {seconds} s")


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def still_there(processes, seconds=20):
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [command_of(one) for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_two_side_by_side_play_it_through_and_all_comes_out_right(tmp_path_factory):
    one, two = tmp_path_factory.mktemp("d"), tmp_path_factory.mktemp("d")
    expected = sum(
        len(MINISTRIES[person.writes_to].answers) for person in PEOPLE if person.writes_to in MINISTRIES
    )
    with demo(one, "--once") as first, demo(two, "--once") as second:
        for process, folder in ((first, one), (second, two)):
            line = last_line(process, folder)
            assert process.returncode == 0, (folder / "stderr.txt").read_text()
            assert line["selected"] == len(PEOPLE) == sum(line["states"].values())
            assert set(line["states"]) == {"accepted", "failed", "held"}
            assert line["expected"] == line["matched"] == expected == sum(line["replies"].values())
            assert set(line["replies"]) == {"auto_reply", "human_reply", "bounce_hard", "bounce_soft"}
            assert [path.name for path in folder.iterdir()] == ["stderr.txt"]


def test_a_worker_killed_in_mid_run_loses_nothing_and_sends_nothing_twice(folder):
    with demo(folder, "--once", "--keep", "kept", LEASE_SECONDS="15") as process:
        children = children_once("--part=play", process)
        wait_until_sent(folder / "kept" / "demo.sqlite3", process)
        worker = next(
            child for child in children if "celery" in command_of(child) and child.ppid() == process.pid
        )
        worker.kill()
        line = last_line(process, folder)
    told = (folder / "stderr.txt").read_text()
    assert "The process “worker” ended and was started again." in told
    doubtful = line["states"].pop("uncertain", 0)
    assert doubtful <= 2, told  # in flight when it was killed: listed, not sent again
    assert set(line["states"]) == {"accepted", "failed", "held"}, told
    assert line["selected"] == len(PEOPLE) == sum(line["states"].values()) + doubtful
    assert line["matched"] == sum(line["replies"].values()) <= line["expected"]
    assert process.returncode == (1 if doubtful else 0), told


def wait_until_sent(database, process):
    """Until the first letter has left."""
    count = "SELECT count(*) FROM letters_delivery WHERE kind = 'letter' AND state = 'accepted'"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        while process.poll() is None:
            if connection.execute(count).fetchone()[0]:
                return
            time.sleep(0.02)
    raise AssertionError("the demo ended before a letter had left")


@pytest.mark.parametrize(("part", "how", "code"), [("play", signal.SIGINT, 0), ("seed", signal.SIGTERM, 143)])
def test_stopped_it_leaves_no_process_and_no_file(folder, part, how, code):
    with demo(folder) as process:
        children = children_once(f"--part={part}", process)
        process.send_signal(how)
        assert process.wait(60) == code
    assert still_there(children) == []
    assert [path.name for path in folder.iterdir()] == ["stderr.txt"]


@linux
def test_killed_it_leaves_no_process(folder):
    with demo(folder) as process:
        children = children_once("--part=play", process)
        process.kill()
    assert still_there(children, seconds=45) == []


def test_a_port_that_is_taken_is_told_with_a_way_on(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with demo(folder, "--port", str(port)) as process:
            process.communicate(timeout=60)
    told = (folder / "stderr.txt").read_text()
    assert process.returncode == 1
    assert f"Port {port} cannot be had" in told
    assert "--port" in told
    assert "Traceback" not in told


def test_a_folder_with_something_in_it_is_not_taken(folder):
    (folder / "mine.txt").write_text("mine")
    with demo(folder, "--keep", str(folder)) as process:
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is not empty" in (folder / "stderr.txt").read_text()
    assert (folder / "mine.txt").read_text() == "mine"
