"""How fast letters are sent: `python -m tests.bench.send --letters 20000`, everything started by itself.

Real PostgreSQL, Valkey, Celery workers and SMTP on loopback; a unique corpus, so that nothing can be
remembered from one letter to the next; consent, suppression, ledger, journal and reply tokens on, paces
wide open. Several numbers of letters show the growth. With LAB_DSN, LAB_N, LAB_SINK_PORT and LAB_REDIS_PORT
set it takes that server's corpus, that sink and that broker, and its last line is a JSON object of seconds.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from campaign.rehearsal.servers import free_port, scratch_folder, spawn, stop, valkey  # noqa: E402
from tests.bench import limit, usage  # noqa: E402
from tests.bench.cluster import Cluster, Plan, Stages, database  # noqa: E402
from tests.postgres import postgres  # noqa: E402

LIMIT_MESSAGES = 40_000


@dataclass
class Figures:
    """What one run gave. Rates are letters a second, memory is in MB, of all worker processes together."""

    letters: int
    workers: int
    connections: int
    latency_ms: float
    frozen_in_s: float
    sent_in_s: float
    rate: int
    limit: int  # what plain sockets get through to the same sink, of finished messages
    share: float  # of that limit; with a slow relay, of connections ÷ its latency
    cpu_s_per_1000: float
    postgres_cpu_s_per_1000: float
    memory_mb: int
    arrived: int


def main() -> None:
    options = parser().parse_args()
    if "LAB_DSN" in os.environ:
        print(json.dumps(beside_others(options)), flush=True)
        return
    rows = []
    with private_server() as dsn, scratch_folder("bench-sink") as folder:
        for letters in options.letters:
            plan = Plan(letters, options.workers, options.connections, options.latency)
            with sink(folder, plan.latency) as port, valkey() as redis:
                rows.append(measured(dsn, plan, port=port, redis=redis))
            print(json.dumps(asdict(rows[-1])), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(table(rows))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__)
    result.add_argument("--letters", type=int, nargs="+", default=[20_000], help="several: growth")
    result.add_argument("--workers", type=int, default=2)
    result.add_argument("--connections", type=int, default=16, help="to the relay, of all workers together")
    result.add_argument("--latency", type=float, default=0.0, help="of the relay, in milliseconds a message")
    result.add_argument("--json", type=Path, help="a file for the figures")
    return result


def beside_others(options: argparse.Namespace) -> Stages:
    """One run in the lab: its corpus, its sink, its broker; the stages' seconds."""
    dsn, redis = os.environ["LAB_DSN"], f"redis://127.0.0.1:{os.environ['LAB_REDIS_PORT']}/9"
    plan = Plan(int(os.environ["LAB_N"]), options.workers, options.connections, 0.0)
    with database(dsn) as url, Cluster(plan, url, redis, int(os.environ["LAB_SINK_PORT"])) as cluster:
        cluster.fill(lab=dsn)
        cluster.start()
        cluster.send()
        cluster.stop()
        print(f"the wave was frozen in {cluster.frozen:.2f} s, before", file=sys.stderr)
        return cluster.stages


def measured(dsn: str, plan: Plan, *, port: int, redis: str) -> Figures:
    """One run in a database of its own on the private server."""
    with database(dsn) as url, Cluster(plan, url, redis, port) as cluster:
        cluster.fill()
        pid = cluster.start()
        before = usage.of_tree(pid), usage.of_postgres()
        with usage.Peak(pid) as peak:
            cluster.send()
        after = usage.of_tree(pid), usage.of_postgres()
    arrived, rate = limit.counted(port), plan.letters / cluster.stages["send"]
    raw = 0.0 if plan.latency else limit.raw_rate(port, plan.connections, min(plan.letters, LIMIT_MESSAGES))
    ceiling = plan.connections / (plan.latency / 1000) if plan.latency else raw
    return Figures(
        letters=plan.letters,
        workers=plan.workers,
        connections=plan.connections,
        latency_ms=plan.latency,
        frozen_in_s=round(cluster.frozen, 2),
        sent_in_s=cluster.stages["send"],
        rate=round(rate),
        limit=round(ceiling),
        share=round(rate / ceiling, 3),
        cpu_s_per_1000=round((after[0] - before[0]) / plan.letters * 1000, 3),
        postgres_cpu_s_per_1000=round((after[1] - before[1]) / plan.letters * 1000, 3),
        memory_mb=round(peak.megabytes),
        arrived=arrived,
    )


def table(rows: list[Figures]) -> str:
    """The figures as a Markdown table."""
    names = list(asdict(rows[0]))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(value) for value in asdict(row).values())} |" for row in rows]
    return "\n".join(lines)


@contextmanager
def sink(folder: Path, latency: float) -> Iterator[int]:
    """Our own relay that takes everything."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.sink", str(port), str(latency)]
    process = spawn(command, log=folder / "sink.log", cwd=ROOT)
    try:
        limit.wait_for(port)
        yield port
    finally:
        stop(process)


@contextmanager
def private_server() -> Iterator[str]:
    """The DSN of a private PostgreSQL with room for a million letters; as durable as any, but for fsync."""
    with ExitStack() as stack:
        more = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum_naptime": "15s"}
        server = stack.enter_context(postgres(**more))
        assert server.process is not None
        usage.postgres_pid = server.process.pid
        yield server.url


if __name__ == "__main__":
    main()
