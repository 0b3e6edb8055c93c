"""Reads a message as it came: what kind it is, by the standards, and what it says. Pure; raises nothing.

Bounces: RFC 3464 and RFC 6522. Complaints: RFC 5965. Automatic answers: RFC 3834 and the headers that
the large mail systems set in its stead. What is none of these was written by a person.
"""

import email
import email.policy
import re
from dataclasses import dataclass, field
from email.message import Message
from email.utils import getaddresses
from enum import StrEnum
from html.parser import HTMLParser

VERSION = 1
MAX_PARTS = 500
MAX_TEXT = 200_000  # characters of visible text that are kept
MAX_HEADER = 2_000


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
    headers = [_header(message, name) for name in ADDRESS_HEADERS]
    found.recipients = [
        address.lower() for _, address in getaddresses([h for h in headers if h]) if "@" in address
    ]
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
        for block in part.get_payload() if isinstance(part.get_payload(), list) else []:
            if not isinstance(block, Message):
                continue
            if action := _header(block, "action").lower():
                actions.append(action)
            found.statuses += STATUS.findall(_header(block, "status"))
            address = _header(block, "final-recipient") or _header(block, "original-recipient")
            if "@" in address:
                found.addresses.append(address.rpartition(";")[2].strip().lower())
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
            attachments.append({"name": name, "type": kind, "size": len(_payload(part))})
        elif kind == "text/plain":
            plain.append(_payload_text(part))
        elif kind == "text/html":
            html.append(html_text(_payload_text(part)))
    text = "\n".join(plain).strip() or "\n".join(html).strip()
    return text.replace("\r\n", "\n").replace("\x00", "")[:MAX_TEXT], attachments


def _parsed(raw: bytes) -> Message:
    return email.message_from_bytes(raw, policy=email.policy.compat32)


def _walk(message: Message) -> list[Message]:
    """All parts, breadth first, without recursion: a message nested 400 deep is only long."""
    found: list[Message] = []
    queue = [message]
    while queue and len(found) < MAX_PARTS:
        part = queue.pop(0)
        found.append(part)
        payload = part.get_payload()
        if isinstance(payload, list):
            queue += [child for child in payload[:MAX_PARTS] if isinstance(child, Message)]
    return found


def _header(message: Message, name: str) -> str:
    """A header decoded (RFC 2047) and on one line; what cannot be decoded stands as it came."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        decoded = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, UnicodeError, email.errors.HeaderParseError):
        decoded = str(value)
    clean = "".join(char if char.isprintable() else " " for char in decoded)
    return " ".join(clean.split())[:MAX_HEADER]


def _payload(part: Message) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _payload_text(part: Message) -> str:
    payload = part.get_payload()
    if isinstance(payload, list):
        return "\n".join(f"Message-ID: {_header(p, 'message-id')}" for p in payload if isinstance(p, Message))
    data = _payload(part)
    for charset in (str(part.get_content_charset() or "utf-8"), "utf-8", "latin-1"):
        try:
            return data.decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode("latin-1")


def _filename(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):
        return ""
    clean = "".join(char if char.isprintable() else "_" for char in str(name or ""))
    return clean.replace("\\", "/").rpartition("/")[2][:120]


class _TextOnly(HTMLParser):
    """HTML reduced to its words; nothing of it is ever shown as HTML."""

    BREAKS = frozenset({"p", "br", "div", "tr", "li", "h1", "h2", "h3", "blockquote", "table"})
    SILENT = frozenset({"script", "style", "head", "title"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in self.SILENT
        if tag in self.BREAKS:
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in self.SILENT))

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(" ".join(data.split()) + (" " if data[-1:].isspace() else ""))


def html_text(html: str) -> str:
    """The words of an HTML document, a line for each block."""
    parser = _TextOnly()
    parser.feed(html[:2_000_000])
    parser.close()
    return re.sub(r"\n\s*\n+", "\n\n", "".join(parser.out)).strip()
