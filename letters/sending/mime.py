"""From a delivery to the bytes that travel: RFC 5322 headers, text and HTML, CRLF line ends.

Headers are encoded here (RFC 2047), each with `email.header`: the standard library's newer address
headers decode what looks like an encoded word in a name, and lose or add spaces when they fold.
"""

import email.charset
import email.policy
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime

POLICY = email.policy.compat32.clone(linesep="\r\n", max_line_length=0, mangle_from_=False)
QUOTED = email.charset.Charset("utf-8")
QUOTED.body_encoding = email.charset.QP


@dataclass(frozen=True)
class Mail:
    """What a message says, and the headers that are not the same on all mail."""

    sender: str  # as `mailbox` makes it
    recipient: str
    subject: str
    text: str
    html: str
    message_id: str
    at: datetime
    reply_to: str = ""
    language: str = ""
    extra: tuple[tuple[str, str], ...] = ()


def mailbox(name: str, address: str) -> str:
    """A name and address as one header value (RFC 5322 §3.4), the name encoded where it must be.

    Raises ValueError when the address could end its header or bring another one.
    """
    if any(not char.isprintable() or char in " <>," for char in address):
        raise ValueError("Not an address that can stand in a header.")
    clean = one_line(name)
    return f"{_phrase(clean)} <{address}>" if clean else address


def one_line(text: str) -> str:
    """Text on one line: every control or separator character (CR, LF, U+0085, U+2028 …) becomes a space."""
    clean = "".join(" " if not char.isprintable() and char != " " else char for char in text)
    return " ".join(clean.split())


def build(mail: Mail) -> bytes:
    """The message as bytes. The same mail gives the same bytes: its boundary comes from its Message-ID.

    Raises ValueError or UnicodeError for text that no message can carry (a lone surrogate).
    """
    boundary = "=_" + hashlib.sha256(mail.message_id.encode()).hexdigest()[:32]
    message = MIMEMultipart("alternative", boundary=boundary, policy=POLICY)
    message["From"] = mail.sender
    message["To"] = mail.recipient
    if mail.reply_to:
        message["Reply-To"] = mail.reply_to
    message["Subject"] = _unstructured("Subject", mail.subject)
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = mail.message_id
    if mail.language:
        message["Content-Language"] = mail.language
    for name, value in mail.extra:
        message[name] = _unstructured(name, value)
    for text, subtype in ((mail.text, "plain"), (mail.html, "html")):
        message.attach(MIMEText(printable(text), subtype, QUOTED, policy=POLICY))  # type: ignore[arg-type]
    return message.as_bytes(policy=POLICY)


def printable(text: str) -> str:
    """Text without NUL and the other control characters that no mail program shows."""
    return "".join(char for char in text if char in "\n\t" or (char >= " " and char != "\x7f"))


def _phrase(name: str) -> str:
    """A display name: a quoted string where ASCII will do, else encoded words of at most 75 characters."""
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return Header(name, "utf-8", header_name="From").encode(linesep="\r\n")


def _unstructured(header: str, text: str) -> str:
    """A text header: as it is where it is short ASCII, else encoded; never more than one header."""
    clean = one_line(text)
    if clean.isascii() and "=?" not in clean and len(clean) <= 60:
        return clean
    return Header(clean, "utf-8", header_name=header).encode(linesep="\r\n")
