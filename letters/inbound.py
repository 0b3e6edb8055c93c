"""One intake for all doors: the bytes are stored first, and answered for; thinking comes later."""

import hashlib
import re

from django.conf import settings
from django.db import transaction

from letters.models import Incoming

# Added on the way by mail systems; the same message by two ways differs in nothing else.
TRANSPORT = {
    b"received", b"return-path", b"delivered-to", b"x-original-to", b"envelope-to", b"x-envelope-from",
    b"authentication-results", b"received-spf", b"x-received", b"arc-seal", b"arc-message-signature",
    b"arc-authentication-results", b"x-spam-status", b"x-spam-score", b"x-spam-level",
}  # fmt: skip
MBOX_LINE = re.compile(rb"\AFrom [^\r\n]*\r?\n")


class TooLarge(ValueError):
    """The message is larger than INCOMING_MAX_BYTES: refused for good, the sender is told."""


class Empty(ValueError):
    """There is no message."""


def take_in(
    raw: bytes, *, envelope_from: str | None, envelope_to: list[str], door: str
) -> tuple[Incoming, bool]:
    """Stores a message; returns its row and whether it is new. The same message twice is one row.

    `envelope_from` is "" for the null sender, None when the door does not know it. Raises TooLarge and Empty;
    database errors pass through, so that the door answers "try again" and the sender keeps the mail.
    """
    if len(raw) > settings.INCOMING_MAX_BYTES:
        raise TooLarge(f"{len(raw)} bytes; at most {settings.INCOMING_MAX_BYTES} are taken.")
    if not raw.strip():
        raise Empty("The message is empty.")
    recipients = [_clean(address) for address in envelope_to if address]
    with transaction.atomic():
        row, created = Incoming.objects.get_or_create(
            fingerprint=fingerprint(raw),
            defaults={
                "raw": raw,
                "sha256": hashlib.sha256(raw).hexdigest(),
                "size": len(raw),
                "door": door,
                "envelope_from": "<>" if envelope_from == "" else _clean(envelope_from or ""),
                "envelope_to": recipients,
            },
        )
        if not created:
            _another_recipient(row, recipients)
    return row, created


def fingerprint(raw: bytes) -> str:
    """SHA-256 of the message without transport headers, mbox line and differences of line ends."""
    body = MBOX_LINE.sub(b"", raw).replace(b"\r\n", b"\n")
    head, separator, rest = body.partition(b"\n\n")
    kept = [
        line
        for line in re.split(rb"\n(?![ \t])", head)
        if line.partition(b":")[0].strip().lower() not in TRANSPORT
    ]
    return hashlib.sha256(b"\n".join(kept) + separator + rest.rstrip(b"\n")).hexdigest()


def _another_recipient(row: Incoming, recipients: list[str]) -> None:
    """One answer to two letters arrives twice: both recipients count, and it is filed again."""
    locked = Incoming.objects.select_for_update().get(pk=row.pk)
    if new := [address for address in recipients if address not in locked.envelope_to]:
        locked.envelope_to = [*locked.envelope_to, *new]
        locked.state = Incoming.State.NEW
        locked.save(update_fields=["envelope_to", "state"])


def _clean(address: str) -> str:
    return "".join(char for char in address if char.isprintable()).strip()[:320]
