"""How fast letters are sent: `python -m tests.bench.send --letters 20000`, everything started by itself.

Real PostgreSQL, Valkey, Celery workers and SMTP on loopback; a unique corpus, so that nothing can be
remembered from one letter to the next; consent, suppression, ledger, journal and reply tokens on.
With LAB_DSN, LAB_N, LAB_SINK_PORT and LAB_REDIS_PORT set it uses that server's corpus, that sink and that
broker instead, and its last line is a JSON object of stage seconds.
"""

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from campaign.rehearsal.servers import free_port, scratch_folder, spawn, stop, valkey  # noqa: E402
from tests.bench import limit, usage  # noqa: E402
from tests.postgres import postgres  # noqa: E402

WORKER = [
    "-m",
    "celery",
    "-A",
    "campaign",
    "worker",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
]
RING_EVERY = 2.0  # seconds, as beat does


@dataclass
class Plan:
    """What to measure."""

    letters: int
    workers: int
    connections: int
    latency: float  # milliseconds that the relay takes for each message


@dataclass
class Figures:
    """What one run gave. Rates are letters a second; memory in MB, of all worker processes together."""

    letters: int
    workers: int
    connections: int
    latency_ms: float
    frozen_in_s: float
    sent_in_s: float
    rate: float
    limit: float
    share_of_limit: float
    share_of_latency_limit: float | None
    cpu_s_per_1000: float
    postgres_cpu_s_per_1000: float
    memory_mb: float
    arrived: int


def main() -> None:
    lab = os.environ.get("LAB_DSN", "")
    options = parser().parse_args()
    plans = [
        Plan(count, options.workers, options.connections, options.latency)
        for count in ([int(os.environ["LAB_N"])] if lab else options.letters)
    ]
    with ExitStack() as stack:
        dsn = lab or stack.enter_context(private_server())
        for plan in plans:
            stages, figures = run(dsn, plan, lab=lab)
            print(json.dumps(stages if lab else asdict(figures)), flush=True)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__)
    result.add_argument("--letters", type=int, nargs="+", default=[20_000], help="several: growth")
    result.add_argument("--workers", type=int, default=2)
    result.add_argument("--connections", type=int, default=16, help="to the relay, of all workers together")
    result.add_argument("--latency", type=float, default=0.0, help="of the relay, in milliseconds a message")
    return result


def run(dsn: str, plan: Plan, *, lab: str) -> tuple[dict[str, float], Figures | None]:
    """One run in a database of its own on the server."""
    name = f"demarche_bench_{secrets.token_hex(4)}"
    with psycopg.connect(dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # our own random name
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(scratch_folder("bench"))
            port = (
                int(os.environ["LAB_SINK_PORT"]) if lab else stack.enter_context(sink(folder, plan.latency))
            )
            redis = (
                f"redis://127.0.0.1:{os.environ['LAB_REDIS_PORT']}/9"
                if lab
                else stack.enter_context(valkey())
            )
            environment = os.environ | {
                "DJANGO_SETTINGS_MODULE": "campaign.settings",
                "DATABASE_URL": url_of(dsn, name),
                "REDIS_URL": redis,
                "LETTERS_MAIL_URL": f"loopback://127.0.0.1:{port}?timeout=30",
                "SEND_PLACES": str(plan.workers),
                "JOURNAL_DIR": str(folder / "journal"),
                "LETTER_ID_HEADER": "X-Letter-ID",
                "LOG_LEVEL": "WARNING",
            }
            return measured(plan, environment, folder, lab=lab, port=port)
    finally:
        with psycopg.connect(dsn, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def measured(
    plan: Plan, environment: dict[str, str], folder: Path, *, lab: str, port: int
) -> tuple[dict[str, float], Figures | None]:
    """Fills the database in a process of its own, starts the workers, rings, and waits until all is sent."""
    stages: dict[str, float] = {}
    lap = time.perf_counter()

    def took(stage: str) -> None:
        nonlocal lap
        now = time.perf_counter()
        stages[stage], lap = round(now - lap, 3), now

    filled = spawn(
        [sys.executable, "-m", "tests.bench.fill", str(plan.letters), lab],
        log=folder / "fill.log",
        env=environment,
    )
    if filled.wait():
        raise SystemExit((folder / "fill.log").read_text())
    frozen = json.loads((folder / "fill.log").read_text().splitlines()[-1])["frozen_in_s"]
    took("setup")
    worker = spawn(
        [sys.executable, *WORKER, "-c", str(plan.workers), "--loglevel", "WARNING"],
        log=folder / "worker.log",
        env=environment,
    )
    try:
        bell = Bell(environment)
        bell.wait_for_worker()
        bell.connections(plan.connections)
        took("boot")
        before = usage.of_tree(worker.pid), usage.of_postgres()
        with usage.Peak(worker.pid) as peak:
            bell.ring_until_sent()
        took("send")
        after = usage.of_tree(worker.pid), usage.of_postgres()
    finally:
        stop(worker)
    took("stop")
    if lab:
        print(f"frozen in {frozen:.2f} s, memory {peak.megabytes:.0f} MB", file=sys.stderr)
        return stages, None
    arrived = limit.counted(port)
    raw = limit.raw_rate(port, plan.connections, min(plan.letters, 40_000)) if not plan.latency else 0.0
    rate = plan.letters / stages["send"]
    ceiling = plan.connections / (plan.latency / 1000) if plan.latency else 0.0
    return stages, Figures(
        letters=plan.letters,
        workers=plan.workers,
        connections=plan.connections,
        latency_ms=plan.latency,
        frozen_in_s=round(frozen, 2),
        sent_in_s=stages["send"],
        rate=round(rate),
        limit=round(raw),
        share_of_limit=round(rate / raw, 3) if raw else 0.0,
        share_of_latency_limit=round(rate / ceiling, 3) if ceiling else None,
        cpu_s_per_1000=round((after[0] - before[0]) / plan.letters * 1000, 3),
        postgres_cpu_s_per_1000=round((after[1] - before[1]) / plan.letters * 1000, 3),
        memory_mb=round(peak.megabytes),
        arrived=arrived,
    )


class Bell:
    """Rings for the workers as beat does, from a process that has Django set up for the bench's database."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        import django  # noqa: PLC0415  settings are read from the environment just made

        django.setup()
        from campaign.celery import app  # noqa: PLC0415
        from letters.models import RelayPace  # noqa: PLC0415
        from tests.bench import corpus  # noqa: PLC0415

        self.app, self.paces, self.corpus = app, RelayPace.objects, corpus

    def wait_for_worker(self) -> None:
        while not self.app.control.ping(timeout=0.3):
            pass

    def connections(self, count: int) -> None:
        self.paces.update_or_create(name="letters", defaults={"connections": count})

    def ring_until_sent(self) -> None:
        rung = 0.0
        while self.corpus.open_letters():
            if time.monotonic() - rung > RING_EVERY:
                self.app.send_task("letters.send_due")
                self.app.send_task("letters.send_due")
                rung = time.monotonic()
            time.sleep(0.05)


@contextmanager
def sink(folder: Path, latency: float) -> Iterator[int]:
    """Our own relay that takes everything."""
    port = free_port()
    process = spawn(
        [sys.executable, "-m", "tests.bench.sink", str(port), str(latency)], log=folder / "sink.log", cwd=ROOT
    )
    try:
        limit.wait_for(port)
        yield port
    finally:
        stop(process)


@contextmanager
def private_server() -> Iterator[str]:
    """The DSN of a private PostgreSQL with room for a million letters."""
    with postgres(shared_buffers="512MB", max_wal_size="4GB", autovacuum_naptime="15s") as server:
        usage.postgres_pid = server.process.pid
        yield server.url


def url_of(dsn: str, name: str) -> str:
    """A DATABASE_URL for a database on the server that a DSN names."""
    parts = conninfo_to_dict(dsn)
    host, port = quote(parts.get("host") or "", safe=""), parts.get("port") or 5432
    return f"postgres://{parts.get('user')}@{host}:{port}/{name}"


if __name__ == "__main__":
    main()
