"""The processes of a demo: started with a private environment, looked after, ended without a trace."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from campaign.rehearsal.servers import (
    ServerFailed,
    end_with_parent,
    free_port,
    scratch_folder,
    spawn,
    stop,
    tail,
    valkey,
)

ROOT = Path(__file__).resolve().parents[2]
USUAL_PORT = 8000
REPLY_DOMAIN = "replies.demarche.example"
STARTING = 5.0  # seconds; a process that ends sooner will not do better when started again
RESTARTS = 5
LISTENING_SECONDS = 30
# What the shell must not bring in; LEASE_SECONDS and SEND_BATCH may be tried out.
NOT_OURS = {
    "ANYMAIL_WEBHOOK_SECRET",
    "DATABASE_URL",
    "DEBUG",
    "PYTHONSAFEPATH",
    "STATIC_ROOT",
    "SUPPRESSION_KEY",
}
NOT_OURS_STARTS = ("CELERY_", "GUNICORN_", "DJANGO_")


class PortTaken(ServerFailed):
    """The port asked for is in use."""


@dataclass
class Member:
    """One process of the house, and how to start it again."""

    name: str
    command: list[str]
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0


@dataclass
class House:
    """A running demo: its folder, its environment, its processes."""

    folder: Path
    environment: dict[str, str]
    web_door: socket.socket
    mail_door: socket.socket
    members: list[Member] = field(default_factory=list)

    def start(self, name: str, command: list[str], *, fds: tuple[int, ...] = ()) -> None:
        """Starts a process (`python -m …`) that is looked after from now on."""
        member = Member(name, [sys.executable, "-m", *command], fds)
        self.members.append(member)
        self._start(member)

    def look_after(self) -> list[str]:
        """Starts again what has ended; returns the names. Raises ServerFailed for what cannot stay up."""
        ended = [member for member in self.members if member.process and member.process.poll() is not None]
        for member in ended:
            soon = time.monotonic() - member.started_at < STARTING
            if soon or member.restarts >= RESTARTS:
                raise ServerFailed(self.why(member.name))
            member.restarts += 1
            self._start(member)
        return [member.name for member in ended]

    def carry_out(self, name: str, command: list[str], **more: str) -> None:
        """Runs something to its end; `more` is added to its environment. Raises ServerFailed with its log."""
        process = self._spawn(name, [sys.executable, "-m", *command], more=more)
        try:
            while process.poll() is None:
                self.look_after()
                time.sleep(0.05)
        finally:
            stop(process)
        if process.returncode:
            raise ServerFailed(self.why(name))

    def show(self, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        """Starts what speaks to the person at the terminal; it holds the post office's socket."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=self.environment | more,
            preexec_fn=end_with_parent(),
            start_new_session=True,  # Ctrl-C reaches the house alone, which ends everything in order
            pass_fds=(self.mail_door.fileno(),),
        )

    def listen(self) -> None:
        """Starts the inbound listener on a free port. Raises ServerFailed."""
        for attempt in range(3):
            port = free_port()
            self.environment["INBOUND_LISTEN"] = f"lmtp://127.0.0.1:{port}"
            command = [sys.executable, "-m", "django", "inbound"]
            member = Member("inbound", command, started_at=time.monotonic())
            member.process = self._spawn("inbound", command)
            if answers(member.process, port):
                self.members.append(member)
                return
            stop(member.process)  # somebody took the port in the meantime, or worse
            if attempt == 2:
                raise ServerFailed(self.why("inbound"))

    def why(self, name: str) -> str:
        """What to tell about a process that ended: the last lines it wrote."""
        return f"The process “{name}” ended. Its last words:\n{tail(self.folder / f'{name}.log', lines=15)}"

    def close(self) -> None:
        """Ends all processes, all at the same time."""
        running = [member.process for member in self.members if member.process]
        with ThreadPoolExecutor(max(1, len(running))) as pool:
            list(pool.map(stop, running))
        self.members.clear()

    def _start(self, member: Member) -> None:
        member.process = self._spawn(member.name, member.command, fds=member.fds)
        member.started_at = time.monotonic()

    def _spawn(
        self,
        name: str,
        command: list[str],
        *,
        fds: tuple[int, ...] = (),
        more: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        environment = self.environment | dict(more or {})
        return spawn(command, log=self.folder / f"{name}.log", cwd=ROOT, env=environment, pass_fds=fds)


@contextmanager
def open_house(*, port: int | None, keep: Path | None) -> Iterator[House]:
    """A folder, a Valkey, two sockets, and the environment that ties them together; all gone at the end.

    `port` is the site's, USUAL_PORT or a free one by default; `keep` is a folder that stays instead of a
    temporary one. Raises PortTaken, ServerFailed.
    """
    with ExitStack() as stack:
        web_door = stack.enter_context(web_socket(port))
        mail_door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        folder = keep or stack.enter_context(scratch_folder("demo"))
        redis_url = stack.enter_context(valkey())
        ports = {"web": web_door.getsockname()[1], "mail": mail_door.getsockname()[1]}
        house = House(folder, private_environment(folder, redis_url, ports), web_door, mail_door)
        stack.callback(house.close)
        yield house


def web_socket(port: int | None) -> socket.socket:
    """A listening socket on the port asked for, else the usual one, else a free one. Raises PortTaken."""
    for wanted in [port] if port else [USUAL_PORT, 0]:
        try:
            return socket.create_server(("127.0.0.1", wanted), backlog=64)
        except OSError as error:
            if port:
                raise PortTaken(
                    f"Port {port} cannot be had ({error.strerror}). Choose another one with --port, "
                    "or leave --port out: then a free one is found."
                ) from None
    raise PortTaken("This machine has no free port on 127.0.0.1.")


def private_environment(folder: Path, redis_url: str, ports: Mapping[str, int]) -> dict[str, str]:
    """The environment of a demo's processes: nothing of the shell's configuration comes in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_OURS and not name.startswith(NOT_OURS_STARTS) and not name.endswith("MAIL_URL")
    }
    mail_url = f"loopback://127.0.0.1:{ports['mail']}"
    return kept | {
        "DJANGO_SETTINGS_MODULE": "campaign.settings",
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite3'}",
        "JOURNAL_DIR": str(folder / "journal"),
        "REDIS_URL": redis_url,
        "SITE_URL": f"http://127.0.0.1:{ports['web']}",
        "MAIL_URL": mail_url,
        "LETTERS_MAIL_URL": mail_url,
        "SUPPORTERS_MAIL_URL": mail_url,
        "REPLY_DOMAIN": REPLY_DOMAIN,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "LOG_LEVEL": "WARNING",
    }


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether a process listens on a port before it ends or LISTENING_SECONDS are over."""
    until = time.monotonic() + LISTENING_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
