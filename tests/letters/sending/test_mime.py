"""What a standard parser reads back is what was composed; nobody's words become a header."""

import email
import email.policy
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.sending.mime import Mail, build, mailbox, one_line

AT = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=600)
EVIL = [
    "a\r\nBcc: x@evil.example",
    "a\nBcc: x",
    "a\u2028Bcc: x",
    "a\x85Bcc: x",
    "=?utf-8?q?a=0ABcc:_x?=",
    "a\rb",
    "\x00",
]


def mail(**changes: object) -> Mail:
    values = {
        "sender": mailbox("Amélie Dupont", "peace@replies.example"),
        "recipient": mailbox("", "cabinet@mfa.fr.example"),
        "subject": "Le 75e anniversaire",
        "text": "Madame, Monsieur,\n",
        "html": "<p>Madame, Monsieur,</p>",
        "message_id": "<1@replies.example>",
        "at": AT,
        "reply_to": "r-abc@replies.example",
        "language": "fr",
    }
    return Mail(**(values | changes))


def parsed(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def body(message: email.message.EmailMessage, kind: str) -> str:
    return message.get_body(preferencelist=(kind,)).get_content().replace("\r\n", "\n")


@given(TEXTS)
def test_the_text_comes_back_to_the_character(text):
    message = parsed(build(mail(text=text)))
    assert body(message, "plain").rstrip("\n") == text.rstrip("\n")


@given(NAMES)
def test_the_name_comes_back_and_stays_one_header(name):
    message = email.message_from_bytes(build(mail(sender=mailbox(name, "peace@replies.example"))))
    assert len(message.get_all("From")) == 1
    found, address = parseaddr(message["From"].replace("\r\n", ""))
    assert address == "peace@replies.example"
    assert str(make_header(decode_header(found))) == one_line(name)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("place", ["name", "subject", "extra"])
def test_nothing_a_stranger_writes_becomes_a_header(evil, place):
    changes = {
        "name": {"sender": mailbox(evil, "peace@replies.example")},
        "subject": {"subject": evil},
        "extra": {"extra": (("X-Note", evil),)},
    }[place]
    message = parsed(build(mail(**changes)))
    assert "Bcc" not in message
    for header in ("From", "To", "Subject", "Reply-To", "Message-ID", "Date"):
        assert len(message.get_all(header)) == 1


@given(TEXTS)
def test_lines_are_short_and_end_in_crlf(text):
    raw = build(mail(text=text, subject=text[:200] or "x"))
    lines = raw.split(b"\r\n")
    assert all(b"\n" not in line and b"\r" not in line for line in lines)
    assert max(map(len, lines)) <= 998


def test_the_same_mail_gives_the_same_bytes():
    assert build(mail()) == build(mail())


def test_text_comes_first_and_html_says_its_language():
    message = parsed(build(mail()))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["Content-Language"] == "fr"


def test_a_lone_surrogate_is_refused_not_sent_broken():
    with pytest.raises(ValueError, match="surrogate"):
        build(mail(text="\ud800"))
