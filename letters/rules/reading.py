"""Reads a message as it came: what kind it is, by the standards, and what it says. Pure; raises nothing.

Bounces: RFC 3464 and RFC 6522. Complaints: RFC 5965. Automatic answers: RFC 3834 and the headers that
the large mail systems set in its stead. What is none of these was written by a person.
"""

import email
import email.header
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32
from email.utils import getaddresses
from enum import StrEnum

from letters.rules.plaintext import html_text

VERSION = 1
MAX_PARTS = 500
MAX_TEXT = 200_000  # characters of visible text that are kept
MAX_HEADER = 2_000
MAX_RAW_HEADER = 20_000  # of a header before it is decoded
MAX_PARAMETERS = 60  # of a Content- header
# Charsets that only Python knows: slow on hostile input, or nobody's.
NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})


class Kind(StrEnum):
    """What a message is."""

    BOUNCE_HARD = "bounce_hard"
    BOUNCE_SOFT = "bounce_soft"
    AUTO_REPLY = "auto_reply"
    COMPLAINT = "complaint"
    HUMAN_REPLY = "human_reply"
    OTHER = "other"


@dataclass
class Read:
    """What was read, and why it was taken for what it is."""

    kind: Kind
    reasons: list[str]
    sender: str = ""
    subject: str = ""
    recipients: list[str] = field(default_factory=list)
    message_id: str = ""
    references: list[str] = field(default_factory=list)  # In-Reply-To first, then References
    inner_references: list[str] = field(default_factory=list)  # Message-IDs of attached messages of ours
    statuses: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)  # that failed
    text: str = ""
    attachments: list[dict[str, object]] = field(default_factory=list)


AUTO_HEADERS = ("x-autoreply", "x-autorespond", "x-auto-reply", "x-autoresponder")
HUMAN_PRECEDENCE = {"", "normal", "first-class", "special-delivery"}
ADDRESS_HEADERS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "resent-to")
MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


def read(raw: bytes, *, envelope_from: str | None = None) -> Read:
    """Reads a message of any brokenness. `envelope_from` is None when the door did not tell it."""
    message = _parsed(raw)
    parts = list(_walk(message))
    found = Read(kind=Kind.OTHER, reasons=[])
    found.sender = _header(message, "from")
    found.subject = _header(message, "subject")
    found.message_id = (MESSAGE_ID.findall(_header(message, "message-id")) or [""])[0]
    # Undecoded: what an encoded display name says is no address and must not break those beside it.
    headers = [_printable(message[name]) for name in ADDRESS_HEADERS if message[name]]
    found.recipients = [address.lower() for _, address in getaddresses(headers) if "@" in address]
    threads = _header(message, "in-reply-to") + " " + _header(message, "references")
    found.references = list(dict.fromkeys(MESSAGE_ID.findall(threads)))
    found.text, found.attachments = _contents(parts)
    _decide(message, parts, envelope_from, found)
    return found


def _decide(message: Message, parts: list[Message], envelope_from: str | None, found: Read) -> None:
    report = str(message.get_param("report-type") or "").lower()
    statuses = [part for part in parts if part.get_content_type() == "message/delivery-status"]
    if statuses or report == "delivery-status":
        _read_bounce(statuses, parts, found)
    elif report == "feedback-report" or any(p.get_content_type() == "message/feedback-report" for p in parts):
        found.kind, found.reasons = Kind.COMPLAINT, ["a feedback report (RFC 5965)"]
        found.inner_references = _inner_ids(parts)
    elif report == "disposition-notification":
        found.kind, found.reasons = Kind.OTHER, ["a receipt (RFC 8098)"]
        found.inner_references = _inner_ids(parts)
    elif reason := _automatic(message, envelope_from):
        found.kind, found.reasons = Kind.AUTO_REPLY, [reason]
    elif not found.text and not found.attachments:
        found.kind, found.reasons = Kind.OTHER, ["nothing is written in it"]
    else:
        found.kind, found.reasons = Kind.HUMAN_REPLY, ["no sign that a machine wrote it"]


def _automatic(message: Message, envelope_from: str | None) -> str:
    submitted = _header(message, "auto-submitted").split(";")[0].strip().lower()
    if submitted and submitted != "no":
        return f"Auto-Submitted: {submitted} (RFC 3834)"
    for name in AUTO_HEADERS:
        if (value := _header(message, name)) and value.lower() not in {"no", "false"}:
            return f"{name}: {value[:40]}"
    precedence = _header(message, "precedence").lower()
    if precedence == "auto_reply":
        return "Precedence: auto_reply"
    if envelope_from == "" or _header(message, "return-path") == "<>":
        return "sent with an empty envelope sender (RFC 3834 §3.3)"
    if precedence not in HUMAN_PRECEDENCE and not _header(message, "list-id"):
        return f"Precedence: {precedence[:20]}"
    return ""


def _read_bounce(statuses: list[Message], parts: list[Message], found: Read) -> None:
    """Per-recipient fields of RFC 3464 §2.3: action and status decide; delayed is not failed."""
    actions = []
    for part in statuses:
        for block in _children(part):
            if action := _header(block, "action").lower():
                actions.append(action)
            found.statuses += STATUS.findall(_header(block, "status"))
            address = _header(block, "final-recipient") or _header(block, "original-recipient")
            if "@" in address:
                found.addresses.append(address.rpartition(";")[2].strip().lower())
    found.statuses, found.addresses = _few(found.statuses), _few(found.addresses)
    found.inner_references = _inner_ids(parts)
    if actions and not any(action == "failed" for action in actions):
        delivered = all(action in {"delivered", "relayed", "expanded"} for action in actions)
        found.kind = Kind.OTHER if delivered else Kind.BOUNCE_SOFT
        found.reasons = [f"a delivery report whose action is {', '.join(sorted(set(actions)))} (RFC 3464)"]
        return
    hard = any(status.startswith("5") for status in found.statuses) and not _full(found.statuses)
    found.kind = Kind.BOUNCE_HARD if hard else Kind.BOUNCE_SOFT
    found.reasons = [
        f"a delivery report: failed, status {', '.join(found.statuses) or 'not stated'} (RFC 3464)"
    ]


def _full(statuses: list[str]) -> bool:
    """A full mailbox (X.2.2) or system (X.3.1) empties again: never taken for hard (RFC 3463)."""
    return all(status[2:] in {"2.2", "3.1"} for status in statuses)


def _inner_ids(parts: list[Message]) -> list[str]:
    found: list[str] = []
    for part in parts[1:]:
        kind = part.get_content_type()
        if kind in {"message/rfc822", "message/rfc822-headers", "text/rfc822-headers", "message/global"}:
            found += MESSAGE_ID.findall(_payload_text(part)[:20_000])
        found += MESSAGE_ID.findall(_header(part, "message-id"))
    return list(dict.fromkeys(found))


def _contents(parts: list[Message]) -> tuple[str, list[dict[str, object]]]:
    plain, html, attachments = [], [], []
    for part in parts:
        kind, name = part.get_content_type(), _filename(part)
        if part.is_multipart() or kind.startswith("message/"):
            continue
        if name or part.get_content_disposition() == "attachment":
            kind = _printable(kind)[:100]
            attachments.append({"name": name, "type": kind, "size": len(_payload(part))})
        elif kind == "text/plain" or kind.startswith("multipart/"):  # the latter: its boundaries are broken
            plain.append(_payload_text(part))
        elif kind == "text/html":
            html.append(html_text(_payload_text(part)))
    text = "\n".join(plain).strip() or "\n".join(html).strip()
    text = text.replace("\r\n", "\n").replace("\x00", "")[:MAX_TEXT]
    return text.encode(errors="replace").decode(), attachments  # UTF-7 and others can yield lone surrogates


class _Bounded(Compat32):
    """The library's forgiving policy, with headers as text and short enough for its slowest readers."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        data = value[:MAX_RAW_HEADER].encode(errors="surrogateescape")
        try:
            value = data.decode()  # RFC 6532
        except UnicodeDecodeError:
            value = data.decode("latin-1")
        if name.lower().startswith("content-"):
            value = ";".join(value.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS])
        return name, value


def _parsed(raw: bytes) -> Message:
    try:
        return email.message_from_bytes(raw, policy=_Bounded())
    except RecursionError:  # nested thousands deep: kept as one text
        return BytesHeaderParser(policy=_Bounded()).parsebytes(raw)


def _walk(message: Message) -> list[Message]:
    """All parts, breadth first, without recursion: a message nested 400 deep is only long."""
    found: list[Message] = []
    queue = [message]
    while queue and len(found) < MAX_PARTS:
        part = queue.pop(0)
        found.append(part)
        queue += _children(part)[:MAX_PARTS]
    return found


def _children(part: Message) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else []
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _few(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))[:MAX_PARTS]


def _header(message: Message, name: str) -> str:
    """A header decoded (RFC 2047) and on one line; what cannot be decoded stands as it came."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        decoded = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, UnicodeError, email.errors.HeaderParseError):
        decoded = str(value)
    return _printable(decoded)[:MAX_HEADER]


def _printable(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _payload(part: Message) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _payload_text(part: Message) -> str:
    if part.is_multipart():
        return "\n".join(f"Message-ID: {_header(child, 'message-id')}" for child in _children(part))
    data = _payload(part)
    named = str(part.get_content_charset() or "utf-8")
    for charset in ("utf-8" if named.replace("-", "_") in NO_CHARSETS else named, "utf-8", "latin-1"):
        try:
            return data.decode(charset)
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1")


def _filename(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):
        return ""
    clean = "".join(char if char.isprintable() else "_" for char in str(name or ""))
    return clean.replace("\\", "/").rpartition("/")[2][:120]
