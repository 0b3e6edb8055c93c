"""Private servers answer, end with us whatever happens to us, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from campaign.rehearsal import servers
from tests import postgres as private
from tests.postgres import postgres

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    """A short path of our own: what is left behind is seen, and sockets' paths have room."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def left_behind(folder):
    return sorted(path.name for path in folder.glob("demarche-*"))


def orphan(code):
    """Run code in a process that prints "PID URL" and waits; kill it with -9; gives both."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    pid, url = process.stdout.readline().split()
    process.kill()
    process.wait()
    process.stdout.close()
    return int(pid), url


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_free_ports_are_free():
    with socket.create_server(("127.0.0.1", servers.free_port())) as server:
        assert server.getsockname()[1] > 1023


class TestValkey:
    def test_it_answers_and_leaves_nothing(self, own_temporary_folder):
        with servers.valkey() as url:
            with redis.Redis.from_url(url) as client:
                assert client.ping()
                pid = client.info()["process_id"]
            assert left_behind(own_temporary_folder)
        assert not psutil.pid_exists(pid)
        assert left_behind(own_temporary_folder) == []

    def test_it_wants_its_password(self):
        with servers.valkey() as url:
            port = int(url.rpartition(":")[2].partition("/")[0])
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"PING\r\n")
                assert stranger.recv(100).startswith(b"-NOAUTH")
            secret = url.split(":")[2].partition("@")[0]
            assert not any(
                secret in " ".join(process.cmdline())
                for process in psutil.process_iter()
                if readable(process)
            )

    def test_two_stand_side_by_side(self):
        with servers.valkey() as one, servers.valkey() as other:
            assert one != other

    def test_a_port_that_is_taken_in_the_meantime_is_left(self, monkeypatch):
        with servers.valkey() as first:
            taken = int(first.rpartition(":")[2].partition("/")[0])
            ports = iter([taken, servers.free_port()])
            monkeypatch.setattr(servers, "free_port", lambda: next(ports))
            with servers.valkey() as second, redis.Redis.from_url(second) as client:
                assert client.ping()

    def test_a_chosen_port_that_is_taken_is_told(self):
        with servers.valkey() as first:
            taken = int(first.rpartition(":")[2].partition("/")[0])
            with pytest.raises(servers.ServerFailed, match="in use"), servers.valkey(port=taken):
                pass

    @linux
    def test_it_dies_with_a_parent_killed_by_9(self, own_temporary_folder):
        pid, _ = orphan(f"""
            import tempfile, time, redis
            tempfile.tempdir = {str(own_temporary_folder)!r}
            from campaign.rehearsal.servers import valkey
            with valkey() as url:
                print(redis.Redis.from_url(url).info()["process_id"], url, flush=True)
                time.sleep(60)
        """)
        assert gone(pid)
        assert len(left_behind(own_temporary_folder)) == 1
        with servers.valkey():  # the next start clears up after the killed one
            assert len(left_behind(own_temporary_folder)) == 1


def readable(process):
    try:
        return process.cmdline() is not None
    except psutil.Error:
        return False


class TestScratchFolders:
    def test_one_in_use_is_not_taken_away(self):
        with servers.scratch_folder("site") as first, servers.scratch_folder("site"):
            assert first.exists()

    def test_one_that_is_not_ours_is_let_alone(self, own_temporary_folder):
        strange = own_temporary_folder / "demarche-site-strange"
        strange.mkdir()
        with servers.scratch_folder("site"):
            assert strange.exists()


def test_a_stubborn_process_is_killed_in_the_end(tmp_path):
    process = servers.spawn(
        ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], log=tmp_path / "log"
    )
    time.sleep(0.2)
    servers.stop(process, patience=0.3)
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def server():
    with postgres() as server:
        yield server


class TestPostgres:
    def test_it_answers_and_knows_letters_of_every_script(self, server):
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select 1, lower('ÉÇΣ')").fetchone() == (1, "éçσ")

    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_a_restart_drops_connections_and_keeps_rows(self, server, mode):
        connection = psycopg.connect(server.url, autocommit=True)
        connection.execute("drop table if exists kept")
        connection.execute("create table kept as select 7 as row")
        server.restart(mode=mode)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        with psycopg.connect(server.url) as again:
            assert again.execute("select row from kept").fetchone() == (7,)

    @linux
    def test_it_dies_with_a_parent_killed_by_9(self, own_temporary_folder):
        pid, url = orphan(f"""
            import tempfile, time
            tempfile.tempdir = {str(own_temporary_folder)!r}
            from tests.postgres import postgres
            with postgres() as server:
                print(server.process.pid, server.url, flush=True)
                time.sleep(60)
        """)
        assert gone(pid)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
    def test_where_namespaces_are_forbidden_nobody_runs_it(self, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", "/tmp")  # pytest's folders are closed to others
        monkeypatch.setattr(private, "_namespaces_work", lambda: False)
        with postgres() as server, psycopg.connect(server.url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
            assert psutil.Process(server.process.pid).uids().real == private.NOBODY
