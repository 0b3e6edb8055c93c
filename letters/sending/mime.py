"""From a delivery to the bytes that travel: RFC 5322 headers, text and HTML, CRLF line ends."""

import email.policy
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

POLICY = email.policy.SMTP.clone(max_line_length=78)


@dataclass(frozen=True)
class Mail:
    """What a message says, and the headers that are not the same on all mail."""

    sender: Address
    recipient: Address
    subject: str
    text: str
    html: str
    message_id: str
    at: datetime
    reply_to: str = ""
    language: str = ""
    extra: tuple[tuple[str, str], ...] = ()


def display(name: str, address: str) -> Address:
    """A header address. Raises ValueError when the name holds line breaks or the address is none."""
    return Address(display_name=one_line(name), addr_spec=address)


def one_line(text: str) -> str:
    """Text on one line: every control or separator character (CR, LF, U+0085, U+2028 …) becomes a space."""
    clean = "".join(" " if not char.isprintable() and char != " " else char for char in text)
    return " ".join(clean.split())


def build(mail: Mail) -> bytes:
    """The message as bytes. The same mail gives the same bytes: its boundary comes from its Message-ID.

    Raises ValueError or UnicodeError for text that no message can carry (a lone surrogate).
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = mail.sender
    message["To"] = mail.recipient
    if mail.reply_to:
        message["Reply-To"] = mail.reply_to
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = mail.message_id
    if mail.language:
        message["Content-Language"] = mail.language
    for name, value in mail.extra:
        message[name] = one_line(value)
    message.set_content(printable(mail.text), cte="quoted-printable")
    message.add_alternative(printable(mail.html), subtype="html", cte="quoted-printable")
    message.set_boundary("=_" + hashlib.sha256(mail.message_id.encode()).hexdigest()[:32])
    return message.as_bytes()


def printable(text: str) -> str:
    """Text without NUL and the other control characters that no mail program shows."""
    return "".join(char for char in text if char in "\n\t" or (char >= " " and char != "\x7f"))
