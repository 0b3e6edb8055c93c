"""SMTP (RFC 5321) that pipelines (RFC 2920) and knows at every moment what the relay can have taken.

A line is one kept connection. Envelope and DATA travel in one group, and the next envelope travels with
the previous body, so that a letter costs one turn; where the relay does not offer PIPELINING each command
waits for its answer. Before the final dot nothing was taken; between the dot and its answer nobody can know.
"""

import asyncio
import re
from collections import deque
from enum import StrEnum
from typing import Protocol

from letters.sending.jobs import Job, Result, Verdict

HEAVY = 9.0  # seconds, at most, for the size of a message
MAX_REPLY, MAX_LINES = 64_000, 200  # octets and lines of one reply; a relay that says more is broken
REPLY = re.compile(rb"[2-5][0-9]{2}([ -]|\r?$)")  # RFC 5321 §4.2: the text may be missing
NOT_THE_LETTER = frozenset({500, 502, 503, 504, 530, 534, 535, 538})  # commands and AUTH: RFC 5321, 4954
OUR_SIDE = re.compile(
    r"relay(ing)? (access )?(denied|not permitted|prohibited)|authentication (is )?required|not authenticated"
    r"|block(ed)? ?list|blacklist|dnsbl|spamhaus|client host .*(blocked|rejected)|sender .*rejected",
    re.IGNORECASE,
)
NOT_IN_A_PATH = re.compile(r"[\r\n<> \x00]")


class Stage(StrEnum):
    """How far a submission got."""

    CONNECT = "connect"
    HELLO = "hello"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    RESET = "reset"


class Desk(Protocol):
    """Where a line gets its jobs from, and where it tells what became of them."""

    def next(self) -> Job | None:
        """The next job to offer, if there is one."""

    def before_dot(self, job: Job) -> bool:
        """Whether the job may still leave; notes that its final dot is about to be sent."""

    def done(self, job: Job, result: Result) -> None:
        """A job has its result."""

    def gone(self, line: "Line", why: str) -> None:
        """A line is closed."""


class Line(asyncio.Protocol):
    """One kept connection. `stage` is that of the answer it waits for, `since` when it began to wait."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.transport: asyncio.Transport | None = None
        self.heard = 0.0  # when it last said something
        self.extensions: dict[str, str] = {}
        self.since: float | None = None
        self.job: Job | None = None  # what is being offered
        self.buffer = b""
        self._ahead: Job | None = None  # its envelope went with the body before
        self._expected: deque[Stage] = deque()
        self._unsaid: deque[tuple[Stage, bytes]] = deque()  # without PIPELINING
        self._failure: tuple[Stage, int, str] | None = None
        self._reset = False
        self._taken = 0  # messages, over this line
        self._sent_body = False  # while what was read before is still being looked at
        self._reply: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        # While the line is being opened one reply at a time is waited for: the first is the greeting.
        self.asked: asyncio.Future[tuple[int, str]] | None = self._loop.create_future()

    @property
    def stage(self) -> Stage:
        """What the next answer is about."""
        return self._expected[0] if self._expected else Stage.CONNECT

    @property
    def weight(self) -> float:
        """Seconds that what is on its way may take besides: megabytes are not read in a moment."""
        return min(HEAVY, len(self.job.message) / 200_000) if self.job is not None else 0.0

    @property
    def pending(self) -> bool:
        """Whether something was read that is no whole reply yet."""
        return bool(self.buffer or self._reply)

    @property
    def idle(self) -> bool:
        """Whether it could take a job."""
        return self.job is None and self.transport is not None

    def take(self) -> None:
        """Takes the next job of the desk, if there is one."""
        ahead, self._ahead = self._ahead, None
        self.job = ahead or self._next()
        if self.job is not None and ahead is None:
            self._say(self._envelope(self.job))

    def close(self, why: str = "", *, abruptly: bool = False) -> None:
        """Ends the conversation; what was not said to be taken is told to the desk."""
        if self.transport is None:
            return
        if self._expected or self.asked or abruptly:
            self.transport.abort()
        else:
            self.transport.write(b"QUIT\r\n")
            self.transport.close()
        self._lost(why or "closed by us")

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(str(error) if error else "the relay closed the connection")

    def data_received(self, data: bytes) -> None:
        lines = (self.buffer + data).split(b"\n")
        self.buffer = lines.pop()
        self.heard, self._sent_body = self._loop.time(), False
        for line in lines:
            if self.transport is None:
                return
            if self._sent_body:  # it cannot be the answer to a dot that is only now on its way
                self.close("the relay spoke out of turn", abruptly=True)
                return
            reply = self._reply
            reply.append(line)
            if not REPLY.match(line) or len(reply) > MAX_LINES:
                self.close(f"not an SMTP reply: {line[:80]!r}")
            elif line[3:4] != b"-":
                self._reply = []
                text = "\n".join(one[4:].rstrip(b"\r").decode("utf-8", "replace") for one in reply)
                self._answered(int(line[:3]), text)
        if len(self.buffer) + sum(map(len, self._reply)) > MAX_REPLY:
            self.close("not an SMTP reply: too long")

    # The conversation

    def _answered(self, code: int, text: str) -> None:
        if self.asked is not None:
            asked, self.asked = self.asked, None
            if not asked.done():
                asked.set_result((code, text))
            return
        stage = self._expected.popleft() if self._expected else None
        self.since = self._loop.time() if self._expected else None
        if code == 421 or stage is None:
            self._turned_away(stage, code, text)
        elif stage == Stage.DOT:
            self._finished(code, text)
        elif stage == Stage.DATA:
            self._body(code, text)
        else:
            refused = not 200 <= code < 300
            if refused and stage != Stage.RESET and self._failure is None:
                self._failure = (stage, code, text)
            self._speak_on()

    def _speak_on(self) -> None:
        """Without PIPELINING: the next command, or the end of an offer that was refused."""
        if self._failure is not None and self._unsaid:
            self._unsaid.clear()
            self._conclude()
        elif self._unsaid and not self._expected:
            stage, command = self._unsaid.popleft()
            self._write(command, stage)

    def _body(self, code: int, text: str) -> None:
        job = self.job
        assert job is not None
        if self._failure is None and code == 354:
            if not self.desk.before_dot(job):
                self._tell(Result(Verdict.UNTOUCHED, "it must not leave any more"))
                self.close(abruptly=True)
                return
            self._ahead = self._next() if "PIPELINING" in self.extensions else None
            following = self._envelope(self._ahead) if self._ahead else []
            self._write(job.message + b".\r\n", Stage.DOT, following)
            self._sent_body = True
            return
        self._failure = self._failure or (Stage.DATA, code, text)
        if code == 354:  # to a message without recipients: RFC 2920 §3.1 has us end it, for nothing
            self._write(b".\r\n", Stage.RESET)
        self._conclude()

    def _finished(self, code: int, text: str) -> None:
        if 200 <= code < 300:
            self._taken += 1
            self._tell(Result(Verdict.TAKEN, text))
        elif code < 400:
            self._tell(Result(Verdict.DOUBT, f"a strange answer to the final dot: {code} {text}"))
        else:
            self._tell(refusal(Stage.DOT, code, text))
        self.take()

    def _conclude(self) -> None:
        assert self._failure is not None
        result, self._failure, self._reset = refusal(*self._failure), None, True
        self._tell(result)
        self.take()

    def _turned_away(self, stage: Stage | None, code: int, text: str) -> None:
        """421 closes the channel at any moment (RFC 5321 §3.8); anything unasked for ends it too.

        After some messages it is but the relay's limit for one connection; before any it is trouble.
        """
        if stage in (Stage.RCPT, Stage.DATA, Stage.DOT):
            self._tell(refusal(stage, code, text))
        else:
            words = f"{stage or 'idle'}: {code} {text}"
            self._tell(Result(Verdict.UNTOUCHED, words, about_relay=not self._taken))
        if self.transport is not None:
            self.transport.close()
        self._lost(f"{code} {text}")

    def _tell(self, result: Result) -> None:
        job, self.job = self.job, None
        if job is not None:
            self.desk.done(job, result)

    def _lost(self, why: str) -> None:
        if self.transport is None:
            return
        self.transport, expected = None, self._expected.copy()
        self._expected.clear()
        self.since = None
        if self.asked is not None and not self.asked.done():
            self.asked.set_exception(ConnectionError(why))
            self.asked.exception()  # seen, even if nobody waits for it any more
        job, ahead, self.job, self._ahead = self.job, self._ahead, None, None
        if job is not None:
            self.desk.done(job, broken(expected[0] if expected else Stage.MAIL, why))
        if ahead is not None:
            self.desk.done(ahead, Result(Verdict.UNTOUCHED, why))
        self.desk.gone(self, why)

    # What is said

    def _next(self) -> Job | None:
        """The next job that this relay can be offered; others get their result at once."""
        while job := self.desk.next():
            if (refused := self._unfit(job)) is None:
                return job
            self.desk.done(job, refused)
        return None

    def _unfit(self, job: Job) -> Result | None:
        if NOT_IN_A_PATH.search(job.sender + job.recipient):
            return refusal(Stage.RCPT, 553, "5.1.3 not an address")
        if not (job.sender + job.recipient).isascii() and "SMTPUTF8" not in self.extensions:
            return refusal(Stage.RCPT, 553, "5.6.7 the relay takes no addresses in other scripts (RFC 6531)")
        limit = self.extensions.get("SIZE", "")
        if limit.isdecimal() and 0 < int(limit) < len(job.message):
            return refusal(Stage.MAIL, 552, f"5.3.4 larger than the relay takes ({limit} octets)")
        return None

    def _envelope(self, job: Job) -> list[tuple[Stage, bytes]]:
        size = f" SIZE={len(job.message)}" if "SIZE" in self.extensions else ""
        utf8 = "" if (job.sender + job.recipient).isascii() else " SMTPUTF8"
        eight = " BODY=8BITMIME" if utf8 and "8BITMIME" in self.extensions else ""
        commands = [
            (Stage.MAIL, f"MAIL FROM:<{job.sender}>{size}{eight}{utf8}\r\n".encode()),
            (Stage.RCPT, f"RCPT TO:<{job.recipient}>\r\n".encode()),
            (Stage.DATA, b"DATA\r\n"),
        ]
        if self._reset:
            self._reset = False
            commands.insert(0, (Stage.RESET, b"RSET\r\n"))
        return commands

    def _say(self, commands: list[tuple[Stage, bytes]]) -> None:
        (stage, first), *others = commands
        if "PIPELINING" in self.extensions:
            self._write(first, stage, others)
        else:
            self._unsaid.extend(others)
            self._write(first, stage)

    def _write(self, data: bytes, stage: Stage, following: list[tuple[Stage, bytes]] | None = None) -> None:
        self._expected.append(stage)
        for after, command in following or ():
            self._expected.append(after)
            data += command
        if self.since is None:
            self.since = self._loop.time()
        if self.transport is not None:
            self.transport.write(data)


def refusal(stage: Stage, code: int, text: str) -> Result:
    """What a negative reply means: never, or not now; about this message, its domain, or all of our mail.

    5xx to recipient, DATA or dot is for good (RFC 5321 §4.2.1), unless it says that we are not welcome. To
    MAIL only 552 (too large) is about the letter: anything else there, or earlier, is about us.
    """
    words = f"{stage}: {code or 'no answer'} {text}".strip()
    about_us = stage in (Stage.CONNECT, Stage.HELLO, Stage.AUTH, Stage.MAIL)
    about_us = about_us or code in NOT_THE_LETTER or OUR_SIDE.search(text) is not None
    if (500 <= code < 600 and not about_us) or (stage == Stage.MAIL and code == 552):
        return Result(Verdict.REFUSED, words)
    return Result(Verdict.LATER, words, about_relay=about_us, about_domain=not about_us)


def broken(stage: Stage, why: str) -> Result:
    """What a broken line means for the job on it, by the answer that was waited for."""
    if stage == Stage.DOT:
        return Result(Verdict.DOUBT, f"no answer to the final dot: {why}")
    if stage in (Stage.MAIL, Stage.RESET):
        return Result(Verdict.UNTOUCHED, f"{stage}: no answer {why}")
    return refusal(stage, 0, why)


def stuffed(message: bytes) -> bytes:
    """The message as it travels: dots at line starts doubled, CRLF at the end (RFC 5321 §4.5.2)."""
    body = message.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body if body.endswith(b"\r\n") else body + b"\r\n"
