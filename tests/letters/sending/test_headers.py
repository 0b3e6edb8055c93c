"""Header fields come back from a standard parser to the character, and stay one field each."""

import email
import email.policy
import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from letters.sending import headers
from letters.sending.headers import mailbox, one_line

ADDRESS = "peace@replies.example"
SPECIAL = [
    "=?utf-8?q?a=0ABcc:_x?=", "=?", "?=", "=", "_", '"', "\\", ",", ";", ":", "<", ">", "(", ")", "@", ".",
    " ", "  ", "\t", "\r\n", "\r", "\n", "\n ", "\r\n\r\n", "\0", "\x1b", "\x7f", "\x85", "\u2028",
    "\u200b", "\u200c", "\u200d", "\u202e", "\ufeff", "\xa0", "\xad", "e\u0301", "\u0301", "é", "ß", "ﷺ",
    "שלום", "محمد", "中文", "😀", "👩\u200d🚀", "𒐫", "Bcc: x", "x" * 90, "word " * 20,
]  # fmt: skip
ANY = st.characters(exclude_categories=["Cs"])
WORDS = st.one_of(st.text(ANY, max_size=80), st.lists(st.sampled_from(SPECIAL), max_size=40).map("".join))
BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029\0]")
EVIL = [
    "a\r\nBcc: x@evil.example",
    "a\nBcc: x",
    "a\rb",
    "a\u2028Bcc: x",
    "a\x85b",
    "a\0b",
    "\r\n\r\nx",
    "a\r\n",
]


def decoded(value: str) -> str:
    """What RFC 2047 makes of a folded value."""
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def field(text: str) -> tuple[str, str]:
    """Name and value of a field that must be one field, on short lines."""
    assert text.endswith("\r\n")
    lines = text[:-2].split("\r\n")
    assert not any(BREAKS.search(line) or not line.strip() for line in lines)
    assert all(line.startswith(" ") for line in lines[1:])
    message = email.message_from_string(text + "\r\n")
    assert len(message.items()) == 1
    return message.items()[0]


class TestNames:
    @given(WORDS)
    @example("😀" * 100)
    @example("𒐫a" * 50)
    @example("Dr. " * 30)
    def test_they_come_back_to_the_character(self, name):
        _, value = field(f"From: {mailbox(name, ADDRESS)}\r\n")
        phrase, address = parseaddr(value.replace("\r\n", ""))
        assert address == ADDRESS
        assert decoded(phrase) == one_line(name)

    @given(WORDS)
    def test_the_newer_parser_agrees_where_it_can(self, name):
        made = mailbox(name, ADDRESS)
        raw = f"From: {made}\r\n\r\n"
        (found,) = email.message_from_string(raw, policy=email.policy.default)["From"].addresses
        assert found.addr_spec == ADDRESS
        if made.count("=?") <= 1:  # between two encoded words of a name it leaves a space
            assert found.display_name == one_line(name)

    @given(WORDS)
    @example("Ж" * 100)
    def test_lines_and_encoded_words_are_short_and_characters_whole(self, name):
        for line in f"Reply-To: {mailbox(name, ADDRESS)}".split("\r\n"):
            assert len(line) <= 76
            for word in re.findall(r"=\?utf-8\?b\?\S*\?=", line):
                assert len(word) <= 75
                b64decode(word[10:-2]).decode()

    def test_plain_ones_stay_readable(self):
        assert mailbox("Ann Lee", ADDRESS) == f'"Ann Lee" <{ADDRESS}>'
        assert mailbox('Ann "Al" O\\Lee', ADDRESS) == f'"Ann \\"Al\\" O\\\\Lee" <{ADDRESS}>'
        assert mailbox(" \r\n", ADDRESS) == ADDRESS

    def test_breaks_fall_between_words_where_they_can(self):
        made = mailbox("Александр Константинович Петров-Водкин", ADDRESS)
        words = [b64decode(word).decode() for word in re.findall(r"\?b\?(\S*)\?=", made)]
        assert words == ["Александр ", "Константинович ", "Петров-Водкин"]

    def test_a_lone_surrogate_is_refused(self):
        with pytest.raises(UnicodeError):
            mailbox("Am\ud800lie", ADDRESS)


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [*EVIL, "a b@x.example", "a@x.example, b", "<a@x.example>", "a@x.example>", "a(b)@x.example",
         '"a"@x.example', "a:b;@x.example", "a\\b@x.example", "a@[192.0.2.1]", "=?utf-8?q?a=0A?=@x.example",
         "\ud800@x.example", "a@münchen..example"],
    )  # fmt: skip
    def test_what_could_be_more_than_an_address_is_refused(self, address):
        with pytest.raises(ValueError, match="Not an address"):
            mailbox("Ann", address)

    def test_a_domain_in_another_script_becomes_ascii(self):
        assert mailbox("", "peace@straße.example") == "peace@xn--strae-oqa.example"

    def test_a_local_part_in_another_script_stays(self):
        assert mailbox("Jürgen", "jürgen@xn--strae-oqa.example").endswith(" <jürgen@xn--strae-oqa.example>")

    @given(WORDS, st.sampled_from([ADDRESS, "jürgen@example.org", "a" * 240 + "@example.org"]))
    def test_what_mailbox_makes_is_finished(self, name, address):
        made = mailbox(name, address)
        assert headers.finished(made) == made

    @pytest.mark.parametrize(
        "value",
        [*EVIL, "", "Amélie <a@x.example>", "a@é.example", "a\r\n \r\n b@x.example", "x" * 950,
         "a\r\n\tBcc: b@x.example", "é" * 600 + "@x.example", "\ud800@x.example"],
    )  # fmt: skip
    def test_other_values_are_not(self, value):
        with pytest.raises(ValueError, match="stand in a header"):
            headers.finished(value)


class TestSubjects:
    @given(WORDS)
    @example("x" * 5000)
    @example("ü" * 5000)
    def test_they_come_back_to_the_character_on_short_lines(self, text):
        made = headers.subject(text)
        name, value = field(made)
        assert name == "Subject"
        assert decoded(value) == one_line(text)
        newer = email.message_from_string(made + "\r\n", policy=email.policy.default)
        assert newer["Subject"] == one_line(text)
        assert max(map(len, made.split("\r\n"))) <= 76
        assert made.isascii()

    def test_long_ones_in_ascii_fold_at_spaces(self):
        text = "Join the Treaty on the Prohibition of Nuclear Weapons: a letter from your country"
        assert headers.subject(text) == f"Subject: {text[:63]}\r\n {text[64:]}\r\n"

    def test_a_lone_surrogate_is_refused(self):
        with pytest.raises(UnicodeError):
            headers.subject("\ud800")


class TestOneLine:
    @given(WORDS)
    def test_it_is_one_line_without_heaps_of_spaces(self, text):
        line = one_line(text)
        assert not BREAKS.search(line)
        assert line == " ".join(line.split())
        assert all(char.isprintable() or char in "\u200c\u200d" for char in line)

    def test_joiners_are_spelling(self):
        assert one_line("می\u200cخواهیم\n\u202e👩\u200d🚀") == "می\u200cخواهیم 👩\u200d🚀"

    def test_strangers_lone_surrogates_become_spaces(self):
        assert one_line("a\ud800b") == "a b"


class TestExtra:
    @given(WORDS)
    def test_values_come_back_to_the_character(self, text):
        name, value = field(headers.more([("X-Note", text)]))
        assert name == "X-Note"
        assert decoded(value) == one_line(text)

    def test_urls_stay_whole(self):
        url = f"<https://example.org/{'a' * 200}>"
        made = headers.more([("List-Unsubscribe", f"{url}, <mailto:stop@example.org>")])
        assert made == f"List-Unsubscribe: {url},\r\n <mailto:stop@example.org>\r\n"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "X Note",
            "X-Note:",
            "X-Note\r\nBcc",
            "X-Nöte",
            "Subject",
            "FROM",
            "Content-Type",
            "bcc",
            "X" * 60,
        ],
    )
    def test_names_that_are_none_or_are_taken_are_refused(self, name):
        with pytest.raises(ValueError, match="one more header"):
            headers.more([(name, "x")])

    def test_the_same_name_twice_is_refused(self):
        with pytest.raises(ValueError, match="one more header"):
            headers.more([("X-Letter-ID", "1"), ("x-letter-id", "2")])


class TestIdentifiers:
    def test_a_message_id_stays(self):
        assert headers.identifier("<1.a-b=c@replies.example>") == "<1.a-b=c@replies.example>"

    @pytest.mark.parametrize(
        "text",
        [
            *EVIL,
            "",
            "1@x",
            "<1@x",
            "<1>",
            "<1@x>\r\n",
            "<1@x> <2@x>",
            "<1\r\n@x>",
            "<é@x>",
            f"<{'1' * 999}@x>",
        ],
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(ValueError, match="Message-ID"):
            headers.identifier(text)

    def test_languages_are_tags_or_nothing(self):
        assert headers.language("") == ""
        assert headers.language("zh-Hant-TW") == "Content-Language: zh-Hant-TW\r\n"

    @pytest.mark.parametrize("tag", [*EVIL, "f r", "fr\n", "-", "é", "fr-" + "x" * 9])
    def test_no_other_tag_is_written(self, tag):
        with pytest.raises(ValueError, match="language"):
            headers.language(tag)


class TestDates:
    def test_the_same_instant_keeps_its_zone(self):
        noon = datetime(2026, 9, 1, 12, 0, 0, 999_999, tzinfo=UTC)
        there = noon.astimezone(timezone(timedelta(hours=5, minutes=45)))
        assert headers.date(noon) == "Tue, 01 Sep 2026 12:00:00 +0000"
        assert headers.date(there) == "Tue, 01 Sep 2026 17:45:00 +0545"

    @given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))
    def test_they_are_read_back(self, at):
        found = parsedate_to_datetime(headers.date(at))
        assert abs(found - at) < timedelta(minutes=1)  # old zones have seconds, which mail has not
