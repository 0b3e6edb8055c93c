"""Mails as ministries and mail systems send them, written here; each a function of what it answers."""

from letters.models import Delivery
from letters.sending import writing


def answer(
    delivery: Delivery, *, sender: str = "cabinet@mfa.fr.example", to: str = "", **headers: str
) -> bytes:
    """A person's answer to a letter; `to` is the reply address unless given."""
    to = to or writing.reply_address(delivery.letter)
    subject = headers.pop("Subject", "=?utf-8?q?R=C3=A9ponse?=")
    lines = [
        f"From: Cabinet <{sender}>",
        f"To: {to}",
        f"Subject: {subject}",
        "Message-ID: <answer-1@mfa.fr.example>",
        'Content-Type: text/plain; charset="utf-8"',
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        "",
        "Madame, Monsieur,",
        "Nous avons bien lu votre lettre et soutiendrons le sommet.",
        "",
    ]
    return "\r\n".join(lines).encode()


def bounce(delivery: Delivery, *, status: str = "5.1.1", action: str = "failed") -> bytes:
    """A delivery report (RFC 3464) about a letter, as mail systems send it to the envelope sender."""
    return f"""From: Mail Delivery System <MAILER-DAEMON@mx.mfa.fr.example>\r
To: {writing.bounce_address(delivery.pk)}\r
Subject: Undelivered Mail Returned to Sender\r
Message-ID: <report-{delivery.pk}-{status}@mx.mfa.fr.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="XX"\r
\r
--XX\r
Content-Type: text/plain\r
\r
This is the mail system at host mx.mfa.fr.example.\r
--XX\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.mfa.fr.example\r
\r
Final-Recipient: rfc822; cabinet@mfa.fr.example\r
Action: {action}\r
Status: {status}\r
\r
--XX\r
Content-Type: text/rfc822-headers\r
\r
Message-ID: {delivery.message_id}\r
\r
--XX--\r
""".encode()
