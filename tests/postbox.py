"""A post office on loopback that keeps what is delivered to it, for tests to read."""

import email
import email.policy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from campaign.rehearsal.servers import free_port


@dataclass(frozen=True)
class Delivered:
    """One message as it arrived: its envelope and its raw bytes."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed by the standard library."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def text(self) -> str:
        """The plain-text part, or nothing when there is none."""
        part = self.message.get_body(preferencelist=("plain",))
        return part.get_content() if part else ""


class Postbox:
    """What was delivered so far, in order. `url` is what SUPPORTERS_MAIL_URL and its like take."""

    def __init__(self, port: int) -> None:
        self.url = f"loopback://127.0.0.1:{port}"
        self.delivered: list[Delivered] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep one message (called by aiosmtpd)."""
        recipients = tuple(envelope.rcpt_tos)
        self.delivered.append(
            Delivered(envelope.mail_from or "", recipients, envelope.original_content or b"")
        )
        return "250 kept"

    def to(self, address: str) -> list[Delivered]:
        """What was delivered to `address`."""
        return [one for one in self.delivered if address in one.recipients]

    def wait_for(self, address: str, *, count: int = 1, seconds: float = 30) -> list[Delivered]:
        """Wait until `count` messages to `address` are there. Raises TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while len(found := self.to(address)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} messages to {address} came in {seconds} s.")
            time.sleep(0.05)
        return found


@contextmanager
def open_postbox() -> Iterator[Postbox]:
    """Run a post office on a free port of 127.0.0.1, in a thread of its own."""
    port = free_port()
    postbox = Postbox(port)
    controller = Controller(postbox, hostname="127.0.0.1", port=port, server_hostname="postbox.example")
    controller.start()
    try:
        yield postbox
    finally:
        controller.stop()
