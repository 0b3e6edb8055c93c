"""Header fields (RFC 5322): words in other scripts encoded (RFC 2047), long ones folded. Pure.

Written here because `email.headerregistry` decodes what looks like an encoded word in a name, and loses
or adds spaces when it folds.
"""

import re
import textwrap
from binascii import b2a_base64
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache

from contacts.addresses import domain_of

LINE = 76  # RFC 2047 §2, for lines with encoded words; the others keep to it too
LONGEST = 900  # of what cannot be folded: with its name it stays below the 998 of RFC 5322 §2.1.1
LABEL = "Reply-To: "  # the longest that stands before a mailbox
WORD = "=?utf-8?b?%s?="
WORD_OCTETS = 45  # base64 makes 60 characters of them, the word has 72 of the 75 allowed

JOINERS = "\u200c\u200d"  # part of the spelling in Persian and in the scripts of India, and of emoji
NOT_IN_ADDRESS = re.compile(r'[\s<>(),:;"\\\[\]]|=\?')
MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,450}@[!-;=?A-~]{1,450}>")
LANGUAGE = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,9}")
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
WRITTEN_BY_US = {
    "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "mime-version",
    "content-language", "content-type", "content-transfer-encoding",
}  # fmt: skip


def mailbox(name: str, address: str) -> str:
    """A name and address as one header value (RFC 5322 §3.4), the name encoded where it must be.

    An address whose local part is not ASCII stands as it is (RFC 6532); of others the domain becomes ASCII.
    Raises ValueError when the address could end its header or bring another one, or the name has a lone
    surrogate.
    """
    if not address.isprintable() or NOT_IN_ADDRESS.search(address):
        raise ValueError("Not an address that can stand in a header.")
    if not address.isascii():
        address = _carried(address)
    clean = _clean(name)
    if not clean:
        return address
    phrase = _phrase(clean)
    last_line = (LABEL + phrase).rpartition("\n")[2]
    gap = " " if len(last_line) + len(address) + 3 <= LINE else "\r\n "
    return f"{phrase}{gap}<{address}>"


def one_line(text: str) -> str:
    """Text on one line: every control or separator character (CR, LF, U+0085, U+2028 …) becomes a space.

    So do the other invisible ones, but not the joiners that spelling needs.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char in JOINERS else " " for char in text)
    return " ".join(text.split())


def finished(value: str) -> str:
    """A value as `mailbox` makes it, unchanged. Raises ValueError for what it cannot have made."""
    unfolded = value.replace("\r\n ", " ")
    if value.isascii() and unfolded.isprintable() and "  " not in unfolded and 0 < len(value) <= LONGEST:
        return value
    lines = value.split("\r\n ")
    phrase, _, address = lines[-1].rpartition(" ")
    if not (
        all(line.isprintable() and line.strip() and len(line.encode()) <= LONGEST for line in lines)
        and all(line.isascii() for line in [*lines[:-1], phrase])
        and (address.isascii() or not address.rpartition("@")[0].isascii())
    ):
        raise ValueError("Not a name and address that can stand in a header.")
    return value


def identifier(message_id: str) -> str:
    """A Message-ID, unchanged. Raises ValueError for what is none (RFC 5322 §3.6.4)."""
    if not MESSAGE_ID.fullmatch(message_id):
        raise ValueError("Not a Message-ID.")
    return message_id


@lru_cache(maxsize=1024)
def subject(text: str) -> str:
    """The Subject field with its line end. Raises UnicodeError for a lone surrogate."""
    return _text_field("Subject", text, LINE)


def date(at: datetime) -> str:
    """The value of Date, to the second."""
    return _date(at.replace(microsecond=0) if at.microsecond else at, at.utcoffset())


@lru_cache(maxsize=256)
def language(tag: str) -> str:
    """The Content-Language field with its line end, "" without a language. Raises ValueError for no tag."""
    if not tag:
        return ""
    if not LANGUAGE.fullmatch(tag):
        raise ValueError("Not a language tag.")
    return f"Content-Language: {tag}\r\n"


def more(fields: Iterable[tuple[str, str]]) -> str:
    """More text fields, each with its line end; long URLs stay whole.

    Raises ValueError for a name that is none, or of a field that the message has already.
    """
    lines, seen = [], set(WRITTEN_BY_US)
    for name, value in fields:
        if not FIELD_NAME.fullmatch(name) or name.lower() in seen:
            raise ValueError("Not the name of one more header.")
        seen.add(name.lower())
        lines.append(_text_field(name, value, LONGEST))
    return "".join(lines)


def _carried(address: str) -> str:
    local, _, _ = address.rpartition("@")
    if not local.isascii():
        return address
    domain = domain_of(address)
    if not domain.isascii():
        raise ValueError("Not an address that can stand in a header.")
    return f"{local}@{domain}"


def _clean(text: str) -> str:
    text.encode()  # refuses a lone surrogate, which would silently become a space
    return one_line(text)


def _phrase(name: str) -> str:
    """A display name: a quoted string where ASCII will do, else encoded words."""
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        if quoted := _folded(LABEL, f'"{escaped}"', LINE):
            return quoted
    return _encoded(name, len(LABEL))


def _text_field(name: str, text: str, longest: int) -> str:
    """An unstructured field: as it is where it is ASCII with words below `longest`, else encoded."""
    clean, label = _clean(text), f"{name}: "
    value = ""
    if clean.isascii() and "=?" not in clean:
        value = _folded(label, clean, longest)
    return f"{label}{value or _encoded(clean, len(label))}\r\n"


def _folded(label: str, text: str, longest: int) -> str:
    """ASCII text as it follows its label, broken at spaces; "" when that leaves a line over `longest`."""
    if len(label) + len(text) <= LINE:
        return text
    first, *rest = textwrap.wrap(label + text, LINE - 1, break_long_words=False, break_on_hyphens=False)
    if len(first) < len(label):  # the label alone: a first line must say something
        first, *rest = label + rest[0], *rest[1:]
    if max(map(len, [first, *rest])) > longest:
        return ""
    return "\r\n ".join([first[len(label) :], *rest])


def _encoded(text: str, column: int) -> str:
    """Encoded words, the first of which starts at `column` (RFC 2047 §2 and §5): whole characters.

    Broken after a space where there is one, for readers that wrongly show the break as a space.
    """
    data, words, start = text.encode(), [], 0
    room = min(WORD_OCTETS, (LINE - column - len(WORD % "")) // 4 * 3)
    while start < len(data):
        end = start + room
        if end < len(data):
            end = data.rfind(b" ", start, end) + 1 or end
        while end < len(data) and data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        words.append(WORD % b2a_base64(data[start:end], newline=False).decode())
        start, room = end, WORD_OCTETS
    return "\r\n ".join(words)


@lru_cache(maxsize=64)
def _date(second: datetime, offset: timedelta | None) -> str:
    """Keyed by offset too: the same instant is written differently in another zone."""
    return format_datetime(second)
