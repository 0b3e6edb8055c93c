"""The demo's post office: an SMTP server on loopback behind which the whole outside world is played."""

import asyncio
import random
import secrets
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

from campaign.rehearsal.ministries import Answer, Behaviour, behaviour_of
from campaign.rehearsal.replies import Received, Reply, Stamp

NOT_HERE = "550 5.7.1 this post office knows addresses under .example only"
NO_SUCH = "550 5.1.1 no such mailbox at this ministry"
THINKING = (0.5, 2.0)  # seconds until a ministry answers
TRIES = 60  # one a second, while the inbound listener is away
TIMEOUT = 20


@dataclass(frozen=True)
class Sent:
    """An answer that was handed over: its Message-ID, the letter it answers, and what it has to become."""

    message_id: str
    letter_id: str
    answer: Answer


class PostOffice:
    """Keeps supporters' mail, lets ministries answer theirs; `inbound` is where answers are handed over."""

    def __init__(self, *, inbound: str) -> None:
        self.inbound = inbound
        self.kept: list[Received] = []  # supporters' mail
        self.letters: list[Received] = []  # that reached a ministry
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        self._arrival = threading.Condition()
        self._answering: set[asyncio.Task[None]] = set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept a recipient, or not (called by aiosmtpd)."""
        domain = address.rpartition("@")[2].lower()
        if not domain.endswith(".example"):
            return NOT_HERE
        if behaviour_of(address) is Behaviour.REFUSES:
            return NO_SUCH
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message in for each of its recipients (called by aiosmtpd)."""
        for recipient in envelope.rcpt_tos:
            self._take(Received(envelope.mail_from or "", recipient, bytes(envelope.original_content or b"")))
        return "250 2.0.0 taken"

    def wait_for(self, address: str, *, seconds: float) -> Received:
        """The first mail to a supporter's address, once it is there. Raises TimeoutError."""
        with self._arrival:
            found = self._arrival.wait_for(lambda: self._first_to(address), timeout=seconds)
        if not found:
            raise TimeoutError(f"no mail to {address} came in {seconds:.0f} s")
        return found

    def _first_to(self, address: str) -> Received | None:
        return next((mail for mail in self.kept if mail.recipient == address), None)

    def _take(self, mail: Received) -> None:
        behaviour = behaviour_of(mail.recipient)
        with self._arrival:
            (self.kept if behaviour is None else self.letters).append(mail)
            self._arrival.notify_all()
        if behaviour is not None:
            task = asyncio.get_running_loop().create_task(self._answer(mail, behaviour))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.problems.append(f"a ministry could not answer: {error!r}")

    async def _answer(self, letter: Received, behaviour: Behaviour) -> None:
        for answer in behaviour.answers:
            await asyncio.sleep(random.uniform(*THINKING))  # noqa: S311  a pause, no secret
            message_id = f"<{secrets.token_hex(12)}@{letter.domain}>"
            reply = answer.make(letter, Stamp(datetime.now(UTC).replace(microsecond=0), message_id))
            await self._hand_over(reply)
            self.sent.append(Sent(message_id, letter.message_id, answer))

    async def _hand_over(self, reply: Reply) -> None:
        """Hands an answer over, as patient as a real mail server. Raises what a refusal for good raises."""
        for _ in range(TRIES):
            try:
                return await asyncio.to_thread(hand_over, reply, to=self.inbound)
            except (OSError, smtplib.SMTPException) as error:
                if refused_for_good(error):
                    raise
                await asyncio.sleep(1)
        raise TimeoutError(f"nobody listens at {self.inbound}")


def hand_over(reply: Reply, *, to: str) -> None:
    """Gives a reply to a listener, lmtp://host:port or smtp://host:port. Raises what smtplib raises."""
    parts = urlsplit(to)
    client = {"lmtp": smtplib.LMTP, "smtp": smtplib.SMTP}[parts.scheme]
    port = parts.port or {"lmtp": 24, "smtp": 25}[parts.scheme]
    with client(parts.hostname or "", port, local_hostname="world.example", timeout=TIMEOUT) as door:
        door.sendmail(reply.sender, [reply.recipient], reply.content, mail_options=["BODY=8BITMIME"])


def refused_for_good(error: Exception) -> bool:
    """Whether a listener said never (5xx)."""
    codes = [getattr(error, "smtp_code", 0)]
    codes += [code for code, _ in getattr(error, "recipients", {}).values()]
    return any(500 <= code < 600 for code in codes)


@contextmanager
def open_post_office(door: socket.socket, *, inbound: str) -> Iterator[PostOffice]:
    """Runs a post office on a socket that listens already, in a thread of its own."""
    office = PostOffice(inbound=inbound)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=_serve, args=(loop, office, door, started), name="post office", daemon=True
    )
    thread.start()
    if not started.wait(TIMEOUT):
        raise RuntimeError("The post office did not open.")
    try:
        yield office
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)


def _serve(
    loop: asyncio.AbstractEventLoop, office: PostOffice, door: socket.socket, started: threading.Event
) -> None:
    def session() -> SMTP:
        return SMTP(office, enable_SMTPUTF8=True, hostname="post.example", ident="rehearsal", loop=loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # at its end it cancels what still goes on
        runner.get_loop().run_until_complete(loop.create_server(session, sock=door))
        started.set()
        loop.run_forever()
