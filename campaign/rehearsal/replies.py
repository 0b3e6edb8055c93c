"""What rehearsal ministries write back: real-looking mail, made from a letter that arrived. Pure."""

import email
import email.policy
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, parseaddr
from html import escape

from campaign.rehearsal.words import WORDS

REFERENCE = re.compile(r"\b[A-Z][A-Z0-9]+-[A-Z]{2}-[0-9A-Z]{4,8}\b")


@dataclass(frozen=True)
class Received:
    """A letter as it reached a ministry: its envelope and its bytes."""

    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The letter, parsed."""
        return email.message_from_bytes(self.content, policy=email.policy.default)  # type: ignore[return-value]

    @property
    def message_id(self) -> str:
        """Its Message-ID."""
        return str(self.message["Message-ID"]).strip()

    @property
    def text(self) -> str:
        """Its plain-text part."""
        part = self.message.get_body(preferencelist=("plain",))
        return str(part.get_content()) if part else ""

    @property
    def language(self) -> str:
        """The language it is written in, of those that the rehearsal's ministries know."""
        stated = str(self.message["Content-Language"] or "").strip()[:2].lower()
        return stated if stated in WORDS else "en"

    @property
    def domain(self) -> str:
        """The ministry's own domain."""
        return self.recipient.rpartition("@")[2]


@dataclass(frozen=True)
class Reply:
    """A mail on its way back: its envelope ("" is the null sender) and its bytes."""

    sender: str
    recipient: str
    content: bytes


@dataclass(frozen=True)
class Stamp:
    """What no two mails share: when it is written, and its Message-ID."""

    at: datetime
    message_id: str


Maker = Callable[[Received, Stamp], Reply]


def acknowledgement(letter: Received, stamp: Stamp) -> Reply:
    """An automatic answer by the book: to the envelope sender, from nobody (RFC 3834 §3, §4)."""
    return Reply("", letter.sender, _automatic(letter, stamp, to=letter.sender))


def autoresponse(letter: Received, stamp: Stamp) -> Reply:
    """An automatic answer as many systems send it: to Reply-To, under the ministry's own address."""
    to = _address(letter, "Reply-To")
    return Reply(letter.recipient, to, _automatic(letter, stamp, to=to))


def form_letter(letter: Received, stamp: Stamp) -> Reply:
    """A person's answer, our letter quoted below, to the reply address."""
    to = _address(letter, "Reply-To")
    return Reply(letter.recipient, to, _written(letter, stamp, sender=letter.recipient, to=to))


def from_elsewhere(letter: Received, stamp: Stamp) -> Reply:
    """A person's answer from another house, to the campaign's plain address: only the thread tells."""
    country = letter.domain.split(".")[1]
    sender = f"cabinet-diplomatique@gouv.{country}.example"
    to = _address(letter, "From")
    return Reply(sender, to, _written(letter, stamp, sender=sender, to=to))


def retyped(letter: Received, stamp: Stamp) -> Reply:
    """A new mail by somebody who copied the reply address from paper and slipped; it quotes the reference."""
    to = _mistyped(_address(letter, "Reply-To"))
    found = REFERENCE.search(letter.text)
    words = WORDS[letter.language]
    mail = _mail(stamp, sender=_office(letter, letter.recipient), to=to)
    mail["Subject"] = f"{words['your_letter']} {found[0] if found else ''}".strip()
    mail.set_content(words["answer"] + "\n", cte="8bit")
    return Reply(letter.recipient, to, mail.as_bytes())


def unknown_mailbox(letter: Received, stamp: Stamp) -> Reply:
    """A report that the mailbox does not exist (RFC 3464), to the envelope sender."""
    return _report(letter, stamp, status="5.1.1", action="failed", said="550 5.1.1 User unknown")


def full_mailbox(letter: Received, stamp: Stamp) -> Reply:
    """A report that the mailbox is full and the letter is given up."""
    return _report(letter, stamp, status="5.2.2", action="failed", said="552 5.2.2 Mailbox full")


def delayed(letter: Received, stamp: Stamp) -> Reply:
    """A report that the mailbox is full and the letter will be tried again."""
    return _report(letter, stamp, status="4.2.2", action="delayed", said="452 4.2.2 Mailbox full")


def _automatic(letter: Received, stamp: Stamp, *, to: str) -> bytes:
    words = WORDS[letter.language]
    mail = _mail(stamp, sender=_office(letter, letter.recipient), to=to)
    mail["Subject"] = f"{words['automatic']} {letter.message['Subject']}"
    mail["In-Reply-To"] = mail["References"] = letter.message_id
    mail["Auto-Submitted"] = "auto-replied"
    mail.set_content(words["acknowledgement"] + "\n", cte="quoted-printable")
    return mail.as_bytes()


def _written(letter: Received, stamp: Stamp, *, sender: str, to: str) -> bytes:
    words = WORDS[letter.language]
    mail = _mail(stamp, sender=_office(letter, sender), to=to)
    mail["Subject"] = f"{words['re']} {letter.message['Subject']}"
    mail["In-Reply-To"] = mail["References"] = letter.message_id
    who = parseaddr(str(letter.message["From"]))[0]
    wrote = words["wrote"].format(name=who, day=stamp.at.strftime("%d/%m/%Y"))
    quoted = "\n".join(f"> {line}".rstrip() for line in letter.text.strip().split("\n"))
    mail.set_content(f"{words['answer']}\n\n{wrote}\n{quoted}\n", cte="quoted-printable")
    quote = f"<p>{escape(wrote)}</p><blockquote>{_paragraphs(letter.text)}</blockquote>"
    mail.add_alternative(_paragraphs(words["answer"]) + quote, subtype="html", cte="base64")
    return mail.as_bytes()


def _report(letter: Received, stamp: Stamp, *, status: str, action: str, said: str) -> Reply:
    report = MIMEMultipart("report", report_type="delivery-status")
    report["From"] = f"Mail Delivery System <mailer-daemon@{letter.domain}>"
    report["To"] = letter.sender
    report["Subject"] = "Delayed Mail" if action == "delayed" else "Undelivered Mail Returned to Sender"
    report["Date"] = format_datetime(stamp.at)
    report["Message-ID"] = stamp.message_id
    report["Auto-Submitted"] = "auto-replied"
    report.attach(
        MIMEText(f"This is the mail system at {letter.domain}.\n\n<{letter.recipient}>: {said}\n", "plain")
    )
    per_message, per_recipient = Message(), Message()
    per_message["Reporting-MTA"] = f"dns; mx.{letter.domain}"
    per_recipient["Final-Recipient"] = f"rfc822; {letter.recipient}"
    per_recipient["Action"] = action
    per_recipient["Status"] = status
    per_recipient["Diagnostic-Code"] = f"smtp; {said}"
    status_part = Message()
    status_part["Content-Type"] = "message/delivery-status"
    status_part.set_payload([per_message, per_recipient])
    report.attach(status_part)
    head = letter.content.partition(b"\r\n\r\n")[0].decode("ascii", "replace").replace("\r\n", "\n")
    report.attach(MIMEText(head + "\n", "rfc822-headers", "us-ascii" if head.isascii() else "utf-8"))
    return Reply("", letter.sender, report.as_bytes(policy=email.policy.SMTP))


def _mail(stamp: Stamp, *, sender: Address, to: str) -> EmailMessage:
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"] = sender
    mail["To"] = to
    mail["Date"] = format_datetime(stamp.at)
    mail["Message-ID"] = stamp.message_id
    return mail


def _office(letter: Received, address: str) -> Address:
    return Address(display_name=WORDS[letter.language]["office"], addr_spec=address)


def _address(letter: Received, header: str) -> str:
    return parseaddr(str(letter.message[header]))[1]


def _mistyped(address: str) -> str:
    """The address with its last symbol but one replaced: a token's check symbol gives it away."""
    local, _, domain = address.rpartition("@")
    wrong = "x" if local[-2] != "x" else "y"
    return f"{local[:-2]}{wrong}{local[-1]}@{domain}"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in text.strip().split("\n\n"))
