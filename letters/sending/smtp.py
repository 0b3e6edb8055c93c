"""An SMTP client (RFC 5321) that knows at every moment what the relay can have accepted.

`smtplib` cannot tell a failure before the final dot from one after it. Here the stage is part of every
error: before the dot nothing was accepted; between the dot and its answer nobody can know.
"""

import base64
import re
import socket
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum

MAX_REPLY, MAX_LINES = 64_000, 200  # octets and lines of one reply; a relay that says more is broken
REPLY = re.compile(r"[2-5][0-9]{2}([ -]|$)", re.ASCII)


class Stage(StrEnum):
    """How far a submission got."""

    CONNECT = "connect"
    HELLO = "hello"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


@dataclass(frozen=True)
class Relay:
    """Where mail is handed over, and how. Timeouts in seconds."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    use_tls: bool = False  # STARTTLS demanded
    use_ssl: bool = False  # TLS from the start
    timeout: float = 30.0
    deadline: float = 50.0  # of one whole submission; shorter than a lease
    hello: str = "localhost"


class SmtpError(Exception):
    """A submission that was not accepted. `code` is the relay's reply code, 0 for a broken connection."""

    def __init__(self, stage: Stage, code: int, text: str) -> None:
        super().__init__(f"{stage}: {code or 'no answer'} {text}".strip())
        self.stage, self.code, self.text = stage, code, text

    @property
    def in_doubt(self) -> bool:
        """Whether the relay may have accepted the message all the same: the answer to the dot is missing."""
        return self.stage == Stage.DOT and self.code == 0

    @property
    def permanent(self) -> bool:
        """Whether the relay said never (5xx) to this very message or recipient (RFC 5321 §4.2.1)."""
        if self.stage == Stage.MAIL:
            return self.code == 552  # too large; any other refusal here is about us, not about the letter
        return 500 <= self.code < 600 and self.stage in {Stage.RCPT, Stage.DATA, Stage.DOT}


class Connection:
    """One kept connection to a relay. Not shared between threads."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._deadline = 0.0
        self._stage = Stage.CONNECT
        self.extensions: set[str] = set()

    @property
    def open(self) -> bool:
        """Whether it has been connected and not found broken since."""
        return self._socket is not None

    def submit(self, sender: str, recipient: str, message: bytes) -> str:
        """Hands over one message for one recipient; returns the relay's words of acceptance.

        `message` has CRLF line ends. Connects first if need be; a kept connection that turns out to be
        closed before MAIL is answered is opened once more. Raises SmtpError with the stage reached.
        """
        self._deadline = time.monotonic() + self.relay.deadline
        kept = self.open
        try:
            return self._guarded(sender, recipient, message)
        except SmtpError as error:
            if not (kept and error.code in {0, 421} and error.stage == Stage.MAIL):
                raise
        return self._guarded(sender, recipient, message)

    def close(self) -> None:
        """Closes without ceremony; says QUIT when the connection is in order."""
        if self._socket is None:
            return
        try:
            self._socket.settimeout(1)
            self._socket.sendall(b"QUIT\r\n")
        except OSError:
            pass  # it is being thrown away
        self._drop()

    def _guarded(self, sender: str, recipient: str, message: bytes) -> str:
        """A transaction in which nothing can go wrong without its stage being known."""
        self._stage = Stage.CONNECT
        try:
            return self._transact(sender, recipient, message)
        except SmtpError:
            raise
        except Exception as error:  # a fault of our own must not look like a message that may have arrived
            self._drop()
            raise SmtpError(self._stage, 0, f"{type(error).__name__}: {error}") from error

    def _transact(self, sender: str, recipient: str, message: bytes) -> str:
        if not self.open:
            self._connect()
        size = f" SIZE={len(message)}" if "SIZE" in self.extensions else ""
        utf8 = " SMTPUTF8" if not (sender + recipient).isascii() else ""
        if utf8 and "SMTPUTF8" not in self.extensions:
            raise SmtpError(
                Stage.RCPT, 553, "5.6.7 the relay does not take addresses in other scripts (RFC 6531)"
            )
        if any(char in sender + recipient for char in "\r\n<> "):
            raise SmtpError(Stage.RCPT, 553, "5.1.3 not an address")
        self._command(Stage.MAIL, f"MAIL FROM:<{sender}>{size}{utf8}", 250)
        self._command(Stage.RCPT, f"RCPT TO:<{recipient}>", 250)
        self._command(Stage.DATA, "DATA", 354)
        self._send(Stage.BODY, stuffed(message))
        self._send(Stage.DOT, b".\r\n")
        return self._expect(Stage.DOT, 250)

    def _connect(self) -> None:
        relay, tls = self.relay, ssl.create_default_context()
        self._buffer = b""
        try:
            self._socket = socket.create_connection((relay.host, relay.port), timeout=self._left())
            if relay.use_ssl:
                self._socket = tls.wrap_socket(self._socket, server_hostname=relay.host)
        except OSError as error:
            self._drop()
            raise SmtpError(Stage.CONNECT, 0, str(error)) from None
        self._expect(Stage.CONNECT, 220)
        self._hello()
        if relay.use_tls:
            self._command(Stage.HELLO, "STARTTLS", 220)
            self._buffer = b""  # whatever came before TLS is not to be believed
            try:
                self._socket = tls.wrap_socket(self._socket, server_hostname=relay.host)
            except OSError as error:
                self._drop()
                raise SmtpError(Stage.HELLO, 0, str(error)) from None
            self._hello()
        if relay.username:
            plain = base64.b64encode(f"\0{relay.username}\0{relay.password}".encode()).decode()
            self._command(Stage.AUTH, f"AUTH PLAIN {plain}", 235)

    def _hello(self) -> None:
        text = self._command(Stage.HELLO, f"EHLO {self.relay.hello}", 250)
        self.extensions = {line.split()[0].upper() for line in text.splitlines()[1:] if line.split()}

    def _command(self, stage: Stage, line: str, wanted: int) -> str:
        self._send(stage, line.encode() + b"\r\n")
        return self._expect(stage, wanted)

    def _expect(self, stage: Stage, wanted: int) -> str:
        code, text = self._reply(stage)
        if code == wanted or (stage == Stage.RCPT and code == 251):
            return text
        error = SmtpError(stage, code, text)
        if code == 421 or stage in {Stage.CONNECT, Stage.HELLO, Stage.AUTH}:
            self._drop()
        else:
            self._reset()
        raise error

    def _reset(self) -> None:
        try:
            self._send(Stage.MAIL, b"RSET\r\n")
            if self._reply(Stage.MAIL)[0] != 250:
                self._drop()
        except SmtpError:
            self._drop()

    def _reply(self, stage: Stage) -> tuple[int, str]:
        lines: list[str] = []
        while True:
            line = self._line(stage)
            if not REPLY.match(line) or sum(map(len, lines)) > MAX_REPLY or len(lines) > MAX_LINES:
                self._drop()
                raise SmtpError(stage, 0, f"not an SMTP reply: {line[:80]!r}")
            lines.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)

    def _line(self, stage: Stage) -> str:
        while b"\n" not in self._buffer:
            try:
                assert self._socket is not None
                self._socket.settimeout(self._left())
                chunk = self._socket.recv(65536)
            except OSError as error:
                self._drop()
                raise SmtpError(stage, 0, str(error)) from None
            if not chunk or len(self._buffer) > MAX_REPLY:
                self._drop()
                raise SmtpError(stage, 0, "the relay closed the connection")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def _send(self, stage: Stage, data: bytes) -> None:
        self._stage = stage
        try:
            assert self._socket is not None
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except OSError as error:
            self._drop()
            raise SmtpError(stage, 0, str(error)) from None

    def _left(self) -> float:
        left = min(self.relay.timeout, self._deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError("the submission took too long")
        return left

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""


def stuffed(message: bytes) -> bytes:
    """The message as it travels: dots at line starts doubled, CRLF at the end (RFC 5321 §4.5.2)."""
    body = message.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body if body.endswith(b"\r\n") else body + b"\r\n"
