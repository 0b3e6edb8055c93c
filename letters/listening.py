"""The LMTP and SMTP door: takes mail for our reply domain only, stores it, answers at once."""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import close_old_connections

from contacts.addresses import domain_of
from letters import inbound

log = logging.getLogger(__name__)
OK, NOT_OURS, TRY_AGAIN = (
    "250 2.0.0 stored",
    "550 5.1.2 not our domain",
    "451 4.3.0 cannot store it now, try again",
)
TOO_LARGE, EMPTY = "552 5.3.4 too large", "554 5.6.0 nothing in it"
TOO_MANY = "452 4.5.3 too many recipients"
RECIPIENTS_AT_MOST = 100
IDLE_SECONDS = 300  # RFC 5321 §4.5.3.2.7


class Door:
    """What the listener does with a message (the handler interface of aiosmtpd)."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if domain_of(address) != settings.REPLY_DOMAIN:
            return NOT_OURS
        if len(envelope.rcpt_tos) >= RECIPIENTS_AT_MOST:
            return TOO_MANY
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await asyncio.to_thread(self._store, envelope)
        # LMTP answers for each recipient (RFC 2033 §4.2), SMTP once.
        return "\r\n".join([answer] * (len(envelope.rcpt_tos) if self.name == "lmtp" else 1))

    async def handle_exception(self, error: Exception) -> str:
        """What goes wrong elsewhere in the conversation is said without its details."""
        log.error("a conversation broke: %s", type(error).__name__)
        return TRY_AGAIN

    def _store(self, envelope: Envelope) -> str:
        """Stores; only then may the answer be 250. Anything that is not the mail's fault is "try again"."""
        close_old_connections()
        try:
            inbound.take_in(
                bytes(envelope.original_content or b""),
                envelope_from=envelope.mail_from or "",
                envelope_to=list(envelope.rcpt_tos),
                door=self.name,
            )
        except inbound.TooLarge:
            return TOO_LARGE
        except inbound.Empty:
            return EMPTY
        except Exception as error:  # whatever it is, it is not the mail's fault: its sender keeps it
            log.error("mail could not be stored, its sender keeps it: %s", type(error).__name__)
            return TRY_AGAIN
        finally:
            close_old_connections()
        return OK


def factory(scheme: str) -> Any:
    """Makes the protocol of one connection: SMTP or LMTP (RFC 2033). Raises ValueError for another scheme."""
    protocols = {"smtp": SMTP, "lmtp": LMTP}
    if scheme not in protocols:
        raise ValueError(f"INBOUND_LISTEN must start with smtp:// or lmtp://, not {scheme}://")
    return lambda: protocols[scheme](
        Door(scheme),
        data_size_limit=settings.INCOMING_MAX_BYTES,
        enable_SMTPUTF8=True,
        ident="Demarche",
        timeout=IDLE_SECONDS,
        hostname=settings.REPLY_DOMAIN,
    )


async def listen(address: str, started: Any) -> None:
    """Serves an address (lmtp://127.0.0.1:8024) until cancelled; calls `started(host, port)` once it listens.

    Raises ValueError for an address that cannot be read, OSError when the port is taken.
    """
    parts = urlsplit(address)
    if not parts.hostname or parts.port is None:
        raise ValueError(f"INBOUND_LISTEN must look like lmtp://127.0.0.1:8024, not {address!r}")
    server = await asyncio.get_running_loop().create_server(factory(parts.scheme), parts.hostname, parts.port)
    async with server:
        started(*server.sockets[0].getsockname()[:2])
        await server.serve_forever()
