"""One run's database, its workers, and the bell that is rung for them as beat does."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from urllib.parse import quote

import psycopg
from celery import Celery
from psycopg.conninfo import conninfo_to_dict

from campaign.rehearsal.servers import spawn, stop

ROOT = Path(__file__).resolve().parents[2]
WORKER = ["-m", "celery", "-A", "campaign", "worker", "--loglevel", "WARNING", "--without-gossip"]
WORKER += ["--without-mingle", "--without-heartbeat"]
RING_EVERY = 2.0  # seconds, as beat does
STILL_OPEN = """
    SELECT EXISTS (SELECT 1 FROM letters_delivery WHERE kind = 'letter' AND state IN ('waiting', 'deferred'))
        OR EXISTS (SELECT 1 FROM letters_delivery WHERE state = 'submitting')
"""

Stages = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What to measure. `connections` are of all workers together, `latency` is in milliseconds a message."""

    letters: int
    workers: int
    connections: int
    latency: float


class Cluster:
    """Workers on one database. Leaves nothing behind."""

    def __init__(self, plan: Plan, database_url: str, redis_url: str, port: int) -> None:
        self.plan, self.database_url, self.redis_url = plan, database_url, redis_url
        self.stages: Stages = {}
        self.frozen = 0.0  # seconds that it took to freeze the wave
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lap = time.perf_counter()

    def __enter__(self) -> "Cluster":
        self._scratch = TemporaryDirectory(prefix="demarche-bench-")
        self.folder = Path(self._scratch.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            stop(self._process)
        self._scratch.cleanup()

    def fill(self, *, lab: str = "") -> None:
        """Makes the campaign and its letters, of our own corpus or of the lab's, and launches it."""
        command = [
            sys.executable,
            "-m",
            "tests.bench.fill",
            str(self.plan.letters),
            str(self.plan.connections),
            lab,
        ]
        log = self.folder / "fill.log"
        if spawn(command, log=log, env=self._environment(), cwd=ROOT).wait():
            raise SystemExit(log.read_text())
        self.frozen = json.loads(log.read_text().splitlines()[-1])["frozen_in_s"]
        self._took("setup")

    def start(self) -> int:
        """Starts the workers and waits until they listen; gives the number of their first process."""
        command = [sys.executable, *WORKER, "-c", str(self.plan.workers)]
        log = self.folder / "worker.log"
        self._process = spawn(command, log=log, env=self._environment(), cwd=ROOT)
        self._bell = Celery("bell", broker=self.redis_url)
        while not self._bell.control.ping(timeout=0.3):
            if self._process.poll() is not None:
                raise SystemExit(log.read_text())
        self._took("boot")
        return self._process.pid

    def send(self) -> None:
        """Rings until nothing is open any more."""
        rung = 0.0
        with psycopg.connect(self.database_url, autocommit=True) as ledger:
            while ledger.execute(STILL_OPEN).fetchone() == (True,):
                if time.monotonic() - rung > RING_EVERY:
                    for _ in range(self.plan.workers):
                        self._bell.send_task("letters.send_due")
                    rung = time.monotonic()
                time.sleep(0.05)
        self._took("send")

    def stop(self) -> None:
        """Ends the workers."""
        if self._process is not None:
            stop(self._process)
        self._took("stop")

    def _took(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage], self._lap = round(now - self._lap, 3), now

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "campaign.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "LETTERS_MAIL_URL": f"loopback://127.0.0.1:{self._port}?timeout=30",
            "SEND_PLACES": str(self.plan.workers),
            "JOURNAL_DIR": str(self.folder / "journal"),
            "LETTER_ID_HEADER": "X-Letter-ID",
            "LOG_LEVEL": "WARNING",
        }


@contextmanager
def database(dsn: str) -> Iterator[str]:
    """The URL of a new database on a server, dropped afterwards."""
    name = f"demarche_bench_{secrets.token_hex(4)}"
    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # a name of our own
    try:
        parts = conninfo_to_dict(dsn)
        host, port = quote(str(parts.get("host") or ""), safe=""), parts.get("port") or 5432
        yield f"postgres://{parts.get('user')}@{host}:{port}/{name}"
    finally:
        with psycopg.connect(dsn, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
