"""A mail relay on loopback that misbehaves as told, and keeps its own log of what it accepted."""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What the relay does at one stage: answer a line, hang, or drop; for some recipients, some times."""

    stage: str  # connect, hello, mail, rcpt, data, dot, after (the answer to the dot is lost)
    answer: str = ""  # "451 4.7.1 later"; "" with hang or drop
    hang: float = 0.0  # seconds of silence, then the connection is dropped
    recipient: str = ""  # only for recipients with this in their address
    times: int = 1_000_000


@dataclass
class Relay:
    """Use as a context manager. `accepted` holds (recipient, message) of all that was really taken."""

    faults: list[Fault] = field(default_factory=list)
    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8", "SIZE 30000000")
    delay: float = 0.0  # seconds before the answer to the dot
    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    connections: int = 0
    credentials: list[str] = field(default_factory=list)  # as AUTH PLAIN brought them

    def __enter__(self) -> "Relay":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
        self._listener.close()
        self.drop_all()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"loopback://127.0.0.1:{self.port}?timeout=2"

    def message_ids(self) -> list[str]:
        """The Message-IDs of all accepted messages, in order."""
        found = [re.search(rb"^Message-ID: (\S+)", body, re.M | re.I) for _, body in self.accepted]
        return [match[1].decode() for match in found if match]

    def drop_all(self) -> None:
        """Closes the connections that are open now, as a relay does that restarts."""
        while self._open:
            with contextlib.suppress(OSError):  # closed by the other side already
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        try:
            _Session(self, connection).run()
        except OSError:
            pass  # the other side left, or a fault closed the line
        finally:
            connection.close()

    def fault(self, stage: str, recipient: str) -> Fault | None:
        """The fault that strikes now, if any; counts it."""
        with self._lock:
            for fault in self.faults:
                if fault.stage == stage and fault.times > 0 and fault.recipient in recipient:
                    fault.times -= 1
                    return fault
        return None


class _Session:
    def __init__(self, relay: Relay, connection: socket.socket) -> None:
        self.relay, self.connection = relay, connection
        self.file = connection.makefile("rb")
        self.sender = self.recipient = ""

    def run(self) -> None:
        self.answer("connect", "220 relay.example ESMTP")
        while line := self.file.readline():
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            handler = getattr(self, f"on_{verb.lower()}", None)
            if verb.upper() == "QUIT":
                self.say("221 bye")
                return
            if handler is None:
                self.say("502 5.5.1 unknown")
            else:
                handler(rest)

    def on_ehlo(self, rest: str) -> None:
        lines = ["relay.example", *self.relay.extensions]
        text = "\r\n".join(f"250-{line}" for line in lines[:-1])
        self.answer("hello", f"{text}\r\n250 {lines[-1]}" if lines[:-1] else f"250 {lines[-1]}")

    def on_auth(self, rest: str) -> None:
        self.relay.credentials.append(rest)
        self.answer("auth", "235 2.7.0 welcome")

    def on_rset(self, rest: str) -> None:
        self.say("250 2.0.0 ok")

    def on_mail(self, rest: str) -> None:
        self.sender = rest.partition("<")[2].partition(">")[0]
        self.answer("mail", "250 2.1.0 ok")

    def on_rcpt(self, rest: str) -> None:
        self.recipient = rest.partition("<")[2].partition(">")[0]
        self.answer("rcpt", "250 2.1.5 ok")

    def on_data(self, rest: str) -> None:
        if not self.answer("data", "354 go on"):
            return
        lines = []
        while (line := self.file.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b".") else line)
        if not line:
            return  # the body broke off: nothing is accepted
        if self.relay.delay:
            time.sleep(self.relay.delay)
        if not self.strike("dot"):
            self.relay.accepted.append((self.recipient, b"".join(lines)))
            self.relay.senders.append(self.sender)
            if not self.strike("after"):
                self.say("250 2.0.0 taken")

    def answer(self, stage: str, usual: str) -> bool:
        """Says the usual, unless a fault strikes; True when the usual was said."""
        if self.strike(stage):
            return False
        self.say(usual)
        return True

    def strike(self, stage: str) -> bool:
        fault = self.relay.fault(stage, self.recipient)
        if fault is None:
            return False
        if fault.answer:
            self.say(fault.answer)
            if not fault.answer.startswith("421"):
                return True
        time.sleep(fault.hang)
        self.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionError("as told")

    def say(self, line: str) -> None:
        self.connection.sendall(line.encode() + b"\r\n")
