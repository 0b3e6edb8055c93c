"""Whatever arrives is read without an exception, in time, into values that a database can keep."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.rules.reading import MAX_HEADER, MAX_PARTS, MAX_TEXT, Kind, Read, read

SECONDS = 5

NAMES = [
    "From", "To", "Cc", "Subject", "Message-ID", "In-Reply-To", "References", "Content-Type", "Status",
    "Content-Disposition", "Content-Transfer-Encoding", "Auto-Submitted", "Precedence", "Return-Path",
    "List-Id", "Action", "Final-Recipient", "X-Autoreply", "MIME-Version",
]  # fmt: skip
VALUES = [
    "multipart/report; report-type=delivery-status; boundary=x", "multipart/mixed; boundary=x",
    "multipart/report; report-type*0=deli; report-type*1*=utf-8''very; boundary=x", "multipart/mixed",
    "text/plain; charset=utf-8", "text/plain; charset=rot13", 'text/plain; charset="\0"', "text/pl\0ain",
    "text/plain; charset*=%ff''x", "text/plain; charset=idna", "text/plain; charset=undefined",
    "text/plain; charset=unicode_escape", "text/plain; charset=utf-7", "text/html; charset=utf-16",
    "message/rfc822", "message/delivery-status", "message/feedback-report", "text/rfc822-headers",
    "base64", "quoted-printable", "uuencode", "attachment; filename*=utf-8''%ff%00a",
    'attachment; filename*0*="x', "=?utf-8?b?AA=?=", "=?utf-8?q?=ff=fe?=", "=?foo?q?x?=", "=?utf-8?b?A?=",
    "=?unknown-8bit?b?/w==?=", "=?idna?q?x?=", "=?punycode?q?xx?=", "=?undefined?q?x?=", "=?hex?q?zz?=",
    "=?\0?q?x?=", "<a@b.example>", '"a <b', "(((((", "auto-replied", "failed", "5.1.1",
    "rfc822; a@b.example", "é", "\x80\xff", "+2AA-", "\\ud800",
]  # fmt: skip
BODIES = [
    "--x", "--x--", "", "hello", "<p>hi", "<!", "<![if", "<![CDATA[", "<!DOCTYPE [", "&#999999999999;",
    "&#xD800;", "<script", "<a b=", "begin 644 x\r\n#zzz", "=", "=ZZ", "\0", "From ", "AAAA", "A", "+2AA-",
    "\\ud800", "é", "\xff",
]  # fmt: skip
HEADERS = st.builds("{}: {}".format, st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=9))
LINES = st.lists(HEADERS | HEADERS | st.sampled_from(BODIES), max_size=25)
MANGLED = st.builds(
    lambda lines, newline, encoding: newline.join(lines).encode(encoding, "replace"),
    LINES,
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.sampled_from(["utf-8", "latin-1"]),
)
REAL = (
    b"From: MAILER-DAEMON@x.example\r\nContent-Type: multipart/report; report-type=delivery-status;"
    b" boundary=x\r\n\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>no</p>\r\n--x\r\n"
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nAction: failed\r\n"
    b"Final-Recipient: rfc822; a@b.example\r\nStatus: 5.1.1\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n"
    b"\r\nMessage-ID: <a@b.example>\r\n\r\n--x\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--x--\r\n"
)


def keepable(found: Read) -> None:
    """Checks that every value fits a database: no NUL, no lone surrogate, no endless line."""
    assert isinstance(found.kind, Kind)
    assert found.reasons
    names = [value for item in found.attachments for value in (item["name"], item["type"])]
    lists = found.recipients + found.references + found.inner_references + found.addresses + found.statuses
    for value in [found.sender, found.subject, found.message_id, *names, *lists, *found.reasons]:
        assert isinstance(value, str)
        value.encode()
        assert value.isprintable()
    found.text.encode()
    assert "\0" not in found.text
    assert len(found.text) <= MAX_TEXT
    assert len(found.subject) <= MAX_HEADER
    assert "\\u0000" not in json.dumps(found.attachments)


@given(st.binary(max_size=400), st.sampled_from([None, "", "a@b.example"]))
def test_arbitrary_bytes_are_read(raw: bytes, envelope_from: str | None) -> None:
    keepable(read(raw, envelope_from=envelope_from))


@given(MANGLED, st.sampled_from([None, "", "a@b.example"]))
def test_mangled_mails_are_read(raw: bytes, envelope_from: str | None) -> None:
    keepable(read(raw, envelope_from=envelope_from))


@given(st.integers(0, len(REAL)), st.integers(0, 40), st.binary(max_size=6))
def test_a_real_report_with_a_piece_torn_out_is_read(start: int, length: int, instead: bytes) -> None:
    keepable(read(REAL[:start] + instead + REAL[start + length :]))


@pytest.mark.parametrize("charset", ['"\0"', "undefined", "idna", "punycode", "unicode_escape", "rot13", "ü"])
def test_a_senseless_charset_does_not_cost_the_words(charset: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\r\n\r\nRéponse favorable".encode()

    found = read(raw)

    assert (found.text, found.kind) == ("Réponse favorable", Kind.HUMAN_REPLY)


@pytest.mark.parametrize(
    ("charset", "body"),
    [("utf-7", b"yes +2AA- no"), ("utf-16-le", b"\0\xd8y\0e\0s\0"), ("utf-8", b"yes \xed\xa0\x80")],
)
def test_half_a_character_is_kept_out_of_the_text(charset: str, body: bytes) -> None:
    found = read(f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + body)

    keepable(found)
    assert "y" in found.text


@pytest.mark.parametrize(
    "content_type", ["multipart/mixed", "multipart/mixed; boundary=lost", "multipart/alternative; boundary="]
)
def test_a_lost_boundary_does_not_cost_the_words(content_type: str) -> None:
    found = read(f"Content-Type: {content_type}\r\n\r\nRéponse favorable".encode())

    assert (found.text, found.kind) == ("Réponse favorable", Kind.HUMAN_REPLY)


def nested(depth: int) -> bytes:
    """A message in a message in a message, with words at the bottom."""
    opened = "".join(
        f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n" for level in range(depth)
    )
    return f"From: a@b.example\r\n{opened}Content-Type: text/plain\r\n\r\nthe bottom\r\n".encode()


PART = b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
HTML = b"Content-Type: text/html\r\n\r\n"
DSN = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n"
HOSTILE = {
    "400 deep": nested(400),
    "5,000 deep": nested(5_000),
    "400 messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 400 + b"Subject: x\r\n\r\nhi",
    "3,000 messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"\r\nhi",
    "10,000 parts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + PART * 10_000 + b"--x--",
    "10,000 headers": b"X-Header: value\r\n" * 10_000 + b"\r\nhi",
    "10,000 recipients": b"To: a@b.example\r\n" * 10_000 + b"\r\nhi",
    "a subject of 1 MB": b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\nhi",
    "a subject of 50,000 words": b"Subject: " + b"=?utf-8?q?=C3=A9?= " * 50_000 + b"\r\n\r\nhi",
    "a subject that never ends its words": b"Subject: " + b"=?" * 500_000 + b"\r\n\r\nhi",
    "a name in 1 MB of brackets": b"To: " + b'"<(' * 300_000 + b"\r\n\r\nhi",
    "100,000 parameters": b"Content-Type: text/plain" + b"; a=b" * 100_000 + b"\r\n\r\nhi",
    "100,000 quoted semicolons": b'Content-Type: multipart/mixed; a="' + b";" * 100_000 + b"\r\n\r\nhi",
    "100 parts with 19,000 quoted semicolons": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + PART.replace(b"plain", b'plain; a="' + b";" * 19_000) * 100,
    "10 MB of binary": b"\r\n" + bytes(range(256)) * 40_000,
    "5 MB of base64": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 1_250_000,
    "20,000 failed recipients": DSN
    + b"Content-Type: message/delivery-status\r\n\r\n"
    + b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n" * 20_000,
    "a charset of our language": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"\xff-a" * 500_000,
} | {f"1.5 MB of {piece.decode()}": HTML + piece * (1_500_000 // len(piece)) for piece in [
    b"<", b"<!", b"<!--", b"<![CDATA[", b"<a ", b"<a b='", b'="', b"&", b"</", b"<script>", b"<p>",
]}  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_mail_is_read_in_seconds(raw: bytes) -> None:
    started = time.process_time()

    keepable(read(raw))

    assert time.process_time() - started < SECONDS


def test_words_four_hundred_parts_deep_are_found() -> None:
    assert read(nested(400)).text == "the bottom"


def test_words_too_deep_to_be_taken_apart_are_kept_as_they_came() -> None:
    assert read(nested(2_000) + b"x").kind is Kind.HUMAN_REPLY


def test_of_too_many_parts_the_first_are_read() -> None:
    text = read(HOSTILE["10,000 parts"]).text

    assert text.count("hi") == MAX_PARTS - 1


def test_a_long_list_of_failures_is_told_once() -> None:
    found = read(HOSTILE["20,000 failed recipients"])

    assert (found.statuses, found.addresses) == (["5.1.1"], ["a@b.example"])
    assert len(found.reasons[0]) < 100
