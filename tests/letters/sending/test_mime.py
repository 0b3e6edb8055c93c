"""What a standard parser reads back is what was composed; nobody's words become a header."""

import email
import email.policy
import hashlib
import unicodedata
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from letters.rules.composing import Fixed
from letters.sending.mime import Mail, build, mailbox, one_line, printable

AT = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
ID = "<1@replies.example>"
ANY = st.characters(exclude_categories=["Cs"])
NAMES = st.text(ANY, min_size=1, max_size=80)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=600)
BOUNDARY = "--=_" + hashlib.sha256(ID.encode()).hexdigest()[:32]
PIECES = [
    ".", "..", ".a", "\n", "\n", "\n", "\r\n", "\r", " ", " \n", "\t\n", "\t", "x" * 73, "x" * 5000, "From ",
    "\nFrom x", "=", "=20\n", "=00", "=?utf-8?q?a=0A?=", "-- \n", f"\n{BOUNDARY}\n", f"\n{BOUNDARY}--\n",
    "e\u0301", "\u0301", "é", "« »", "שלום", "\u202eمحمد", "می\u200cخواهم", "中文" * 40, "😀", "👩\u200d🚀",
    "\u200b", "\ufeff", "\0", "\x01", "\x7f", "\x85", "\x9f", "\xa0", "\u2028", "<p>", "&amp;", "word " * 15,
]  # fmt: skip
HOSTILE = st.one_of(st.text(ANY, max_size=300), st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
CHUNKS = st.lists(
    st.builds(lambda kind, text: kind(text), st.sampled_from([str, Fixed]), HOSTILE), max_size=6
)
LANGUAGES = st.sampled_from(["", "fr", "ar", "zh-hans", "sr-Latn"])
EVIL = [
    "a\r\nBcc: x@evil.example",
    "a\nBcc: x",
    "a\u2028Bcc: x",
    "a\x85Bcc: x",
    "=?utf-8?q?a=0ABcc:_x?=",
    "a\rb",
    "\x00",
]
ONCE = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]


def mail(**changes: object) -> Mail:
    values = {
        "sender": mailbox("Amélie Dupont", "peace@replies.example"),
        "recipient": mailbox("", "cabinet@mfa.fr.example"),
        "subject": "Le 75e anniversaire",
        "text": "Madame, Monsieur,\n",
        "html": "<p>Madame, Monsieur,</p>",
        "message_id": ID,
        "at": AT,
        "reply_to": "r-abc@replies.example",
        "language": "fr",
    }
    return Mail(**(values | changes))


def parsed(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def body(message: email.message.EmailMessage, kind: str) -> str:
    return message.get_body(preferencelist=(kind,)).get_content().replace("\r\n", "\n")


def whole(text: str) -> str:
    """A part as it is meant to arrive: without control characters, with a line end."""
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")
    return kept if kept.endswith("\n") else kept + "\n"


def lines_of(raw: bytes) -> list[bytes]:
    """The lines of a message, which must all end in CRLF and be whole."""
    assert raw.endswith(b"\r\n")
    lines = raw[:-2].split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines)
    return lines


class TestBodies:
    @given(TEXTS)
    def test_the_text_comes_back_to_the_character(self, text):
        message = parsed(build(mail(text=text)))
        assert body(message, "plain").rstrip("\n") == text.rstrip("\n")

    @given(HOSTILE, HOSTILE, LANGUAGES)
    @example("", "", "fr")
    @example("", "", "ru")
    @example("x" * 75 + " \n", "x" * 74 + "\t\n", "fr")
    def test_whatever_is_written_comes_back_in_both_parts(self, text, html, language):
        raw = build(mail(text=text, html=html, language=language))
        message = parsed(raw)
        assert body(message, "plain") == whole(text)
        assert body(message, "html") == whole(html)
        older = email.message_from_bytes(raw)
        plain, _ = older.get_payload()
        assert plain.get_payload(decode=True).decode().replace("\r\n", "\n") == whole(text)

    @given(CHUNKS, LANGUAGES)
    @example(["abc\n", ""], "fr")
    @example(["abc", "", Fixed("")], "fr")
    @example(["abc ", Fixed("\n"), "From ", ".", Fixed("\n")], "fr")
    @example([], "fr")
    def test_chunks_make_the_same_text_as_the_whole(self, chunks, language):
        text = "".join(chunks)
        message = parsed(build(mail(text=tuple(chunks), html=chunks, language=language)))
        assert body(message, "plain") == body(message, "html") == whole(text)
        assert body(parsed(build(mail(text=text, language=language))), "plain") == whole(text)

    @given(st.lists(HOSTILE.map(lambda text: text + "\n"), max_size=5))
    def test_shared_words_are_encoded_as_anybodys(self, chunks):
        shared = build(mail(text=tuple(map(Fixed, chunks))))
        assert shared == build(mail(text=tuple(chunks))) == build(mail(text=Fixed("".join(chunks))))

    @given(CHUNKS, LANGUAGES)
    @example(["x" * 74 + " \n"], "fr")
    @example(["x" * 75 + "\t\n"], "fr")
    @example(["From " + "x" * 70 + " \n"], "fr")
    @example(["From here\n"], "fr")
    def test_lines_are_short_ascii_and_never_a_lone_dot(self, chunks, language):
        raw = build(mail(text=chunks, html="".join(chunks), language=language))
        lines = lines_of(raw)
        assert raw.isascii()
        assert max(map(len, lines)) <= 76
        assert not any(
            line == b"." or line.startswith(b"From ") or line.endswith((b" ", b"\t")) for line in lines
        )

    @given(TEXTS)
    def test_lines_are_short_and_end_in_crlf(self, text):
        raw = build(mail(text=text, subject=text[:200] or "x"))
        assert max(map(len, lines_of(raw))) <= 998

    def test_line_ends_are_crlf_inside_base64_too(self):
        _, html = parsed(build(mail(text="да\n", html="да\r\nнет\n", language="ru"))).iter_parts()
        assert html.get_payload(decode=True) == "да\r\nнет\r\n".encode()

    def test_dots_at_line_starts_are_left_to_smtp(self):
        assert b"\r\n.a\r\n..b\r\n" in build(mail(text="\n.a\n..b\n"))

    def test_text_comes_first_and_html_says_its_language(self):
        message = parsed(build(mail()))
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert message["Content-Language"] == "fr"

    @pytest.mark.parametrize(
        ("language", "encoding"),
        [("", "quoted-printable"), ("fr", "quoted-printable"), ("pt-br", "quoted-printable"),
         ("sr-Latn", "quoted-printable"), ("sr", "base64"), ("el", "base64"), ("ZH-hans", "base64")],
    )  # fmt: skip
    def test_the_language_chooses_the_encoding(self, language, encoding):
        parts = parsed(build(mail(language=language))).iter_parts()
        assert [part["Content-Transfer-Encoding"] for part in parts] == [encoding, encoding]

    @pytest.mark.parametrize("language", ["fr", "ru"])
    @pytest.mark.parametrize("text", ["\ud800", ("a\n", Fixed("\udfff\n"))])
    def test_a_lone_surrogate_is_refused_not_sent_broken(self, text, language):
        with pytest.raises(ValueError, match="surrogate"):
            build(mail(text=text, language=language))

    @given(HOSTILE)
    def test_printable_leaves_out_control_characters_only(self, text):
        assert printable(text + "\n") == whole(text + "\n")


class TestHeaders:
    @given(NAMES)
    def test_the_name_comes_back_and_stays_one_header(self, name):
        message = email.message_from_bytes(build(mail(sender=mailbox(name, "peace@replies.example"))))
        assert len(message.get_all("From")) == 1
        found, address = parseaddr(message["From"].replace("\r\n", ""))
        assert address == "peace@replies.example"
        assert str(make_header(decode_header(found))) == one_line(name)

    @pytest.mark.parametrize("evil", EVIL)
    @pytest.mark.parametrize("place", ["name", "subject", "extra"])
    def test_nothing_a_stranger_writes_becomes_a_header(self, evil, place):
        changes = {
            "name": {"sender": mailbox(evil, "peace@replies.example")},
            "subject": {"subject": evil},
            "extra": {"extra": (("X-Note", evil),)},
        }[place]
        message = parsed(build(mail(**changes)))
        assert "Bcc" not in message
        for header in ("From", "To", "Subject", "Reply-To", "Message-ID", "Date"):
            assert len(message.get_all(header)) == 1

    @pytest.mark.parametrize("evil", [*EVIL[:4], *EVIL[5:]])
    @pytest.mark.parametrize("place", ["sender", "recipient", "reply_to", "message_id", "language"])
    def test_nor_does_what_we_did_not_prepare(self, evil, place):
        with pytest.raises(ValueError, match=r"Not a"):
            build(mail(**{place: evil}))

    @given(HOSTILE, HOSTILE, HOSTILE)
    def test_each_header_is_there_once(self, name, subject, note):
        raw = build(
            mail(
                sender=mailbox(name, "peace@replies.example"), subject=subject, extra=(("X-Letter-ID", note),)
            )
        )
        message = email.message_from_bytes(raw)
        assert sorted(message.keys()) == sorted([*ONCE, "Content-Language", "X-Letter-ID"])
        assert raw.split(b"\r\n\r\n", 1)[0].isascii()

    def test_what_is_not_there_is_not_written(self):
        assert parsed(build(mail(reply_to="", language=""))).keys() == [h for h in ONCE if h != "Reply-To"]

    def test_only_an_address_in_another_script_is_not_ascii(self):
        raw = build(mail(recipient=mailbox("Jürgen", "jürgen@example.org")))
        (line,) = [line for line in lines_of(raw) if not line.isascii()]
        assert line == b"To: =?utf-8?b?SsO8cmdlbg==?= <j\xc3\xbcrgen@example.org>"

    def test_the_same_mail_gives_the_same_bytes(self):
        assert build(mail()) == build(mail())
        assert build(mail()) != build(mail(message_id="<2@replies.example>"))

    def test_the_newer_parser_finds_nothing_to_complain_about(self):
        message = parsed(build(mail(extra=(("X-Letter-ID", "7"),))))
        assert not any(part.defects for part in message.walk())
        assert not any(value.defects for part in message.walk() for value in part.values())
