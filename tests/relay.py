"""A mail relay on loopback that misbehaves as told, and keeps its own log of what it accepted."""

import hashlib
import random
import socket
import ssl
import tempfile
import threading
import time
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import trustme

from tests.relay_faults import Fault, Greylist, Limits
from tests.relay_session import Session
from tests.relay_syntax import message_id
from tests.relay_wire import Wire

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "AUTH PLAIN", "ENHANCEDSTATUSCODES", "SIZE 30000000")
SCHEMES = {"": "loopback", "starttls": "smtp", "implicit": "smtps"}


class Event(NamedTuple):
    """One answer of the relay, "" where it gave none; the stage "body" is the final dot's arrival."""

    time: float
    connection: int
    stage: str  # of a fault, or: body, broken (no final dot came), errors, unknown
    recipient: str
    message_id: str  # known from the final dot on
    answer: str


@dataclass
class Relay:
    """Use as a context manager. `accepted` holds (recipient, message) of all that was really taken.

    All that is set here may be changed while it runs, but for `tls`, `certified` and `log_file`.
    """

    faults: list[Fault] = field(default_factory=list)
    extensions: tuple[str, ...] = EXTENSIONS
    delay: float = 0.0  # seconds before the answer to the dot
    _: KW_ONLY
    greylist: Greylist | None = None
    limits: Limits = field(default_factory=Limits)
    slow: dict[str, float] = field(default_factory=dict)  # part of an address: seconds before each answer
    ehlo: bool = True  # False: knows HELO only
    tls: str = ""  # "starttls", "implicit"
    certified: tuple[str, ...] = ("localhost", "127.0.0.1")  # whom the certificate is for
    log_file: Path | None = None  # Message-ID, recipient, SHA-256: written before the 250 is said
    seed: int = 0  # of the chance in faults with a share

    accepted: list[tuple[str, bytes]] = field(default_factory=list, init=False)
    senders: list[str] = field(default_factory=list, init=False)
    connections: int = field(default=0, init=False)
    most_open: int = field(default=0, init=False)  # connections at once
    credentials: list[str] = field(default_factory=list, init=False)  # as AUTH PLAIN brought them
    violations: list[str] = field(default_factory=list, init=False)  # what no client may do
    log: list[Event] = field(default_factory=list, init=False)

    def __enter__(self) -> "Relay":
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._sessions: set[Session] = set()
        self._chance = random.Random(self.seed)
        self._folder = tempfile.TemporaryDirectory(prefix="relay-")
        if self.tls:
            self._certify()
        self._diary: IO[str] | None = self.log_file.open("a", encoding="utf-8") if self.log_file else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
        self._listener.close()
        self.drop_all()
        with self._lock:
            if self._diary:
                self._diary.close()
        self._folder.cleanup()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{SCHEMES[self.tls]}://127.0.0.1:{self.port}?timeout=2"

    @property
    def ca_file(self) -> Path:
        """The throw-away authority's certificate: for SSL_CERT_FILE or a context's `cafile`."""
        return Path(self._folder.name) / "ca.pem"

    def message_ids(self) -> list[str]:
        """The Message-IDs of all accepted messages, in order."""
        return [found for _, message in self.accepted if (found := message_id(message))]

    def logged(self, stage: str, answer: str = "") -> list[str]:
        """The Message-IDs that got to a stage and heard an answer that begins so, in order.

        `logged("body")`: whose final dot came; `logged("dot", "250")`: who was told of acceptance.
        """
        events = list(self.log)
        return [one.message_id for one in events if one.stage == stage and one.answer.startswith(answer)]

    def drop_all(self) -> None:
        """Closes the connections that are open now, as a relay does that restarts."""
        with self._lock:
            sessions, self._sessions = self._sessions, set()
        for session in sessions:
            session.wire.cut()

    def offers(self, *, encrypted: bool) -> list[str]:
        """The lines of the answer to EHLO."""
        if self.tls == "starttls" and not encrypted:
            return [*(line for line in self.extensions if not line.startswith("AUTH")), "STARTTLS"]
        return list(self.extensions)

    def fault(self, stage: str, recipient: str) -> Fault | None:
        """The fault that strikes now, if any; counts it."""
        if not self.faults:
            return None
        with self._lock:
            for fault in self.faults:
                if fault.stage == stage and fault.times > 0 and fault.recipient in recipient:
                    if fault.share < 1 and self._chance.random() >= fault.share:
                        continue
                    fault.times -= 1
                    return fault
        return None

    def too_many(self) -> str:
        """The objection to the connections that are open now, if any."""
        return self.limits.too_many(len(self._sessions))

    def not_yet(self, sender: str, recipient: str) -> str:
        """The greylist's objection, if any."""
        return self.greylist.objection(sender, recipient) if self.greylist else ""

    def slowness(self, recipient: str) -> float:
        """Seconds before each answer about this recipient."""
        return max((seconds for part, seconds in self.slow.items() if part in recipient), default=0.0)

    def pause(self, seconds: float) -> None:
        """Waits; no longer than the relay runs."""
        self._stopped.wait(seconds)

    def accept(self, sender: str, recipients: list[str], message: bytes) -> None:
        """Takes a message for good, once per recipient. Raises ConnectionError when the relay has stopped."""
        with self._lock:
            if self._stopped.is_set():
                raise ConnectionError("stopped")
            for recipient in recipients:
                self.accepted.append((recipient, message))
                self.senders.append(sender)
                if self._diary:
                    digest = hashlib.sha256(message).hexdigest()
                    self._diary.write(f"{message_id(message)}\t{recipient}\t{digest}\n")
            if self._diary:
                self._diary.flush()

    def note(self, connection: int, stage: str, about: tuple[str, str], answer: str) -> None:
        """Keeps an event; `about`: recipient and Message-ID."""
        self.log.append(Event(time.time(), connection, stage, *about, answer))

    def leave(self, session: Session) -> None:
        """A session no longer counts as open."""
        with self._lock:
            self._sessions.discard(session)

    def _certify(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        self.certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self.certified).configure_cert(self.certificate)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                session = Session(self, Wire(connection), self.connections)
                self._sessions.add(session)
                self.most_open = max(self.most_open, len(self._sessions))
            threading.Thread(target=self._converse, args=(session,), daemon=True).start()

    def _converse(self, session: Session) -> None:
        try:
            session.run()
        except OSError:
            pass  # the other side left, or a fault closed the line
        finally:
            self.leave(session)
            session.wire.close()
