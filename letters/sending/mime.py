"""From a mail's words to the bytes that travel: text and HTML parts (RFC 2045), CRLF line ends. Pure.

Our own writer, because every letter passes here: the words that all letters of a form share are encoded
once, and `email.mime` takes thirty times as long. Dots at line starts are the business of SMTP.
"""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from letters.rules.composing import Fixed
from letters.sending import headers
from letters.sending.headers import mailbox, one_line

__all__ = ["Mail", "build", "mailbox", "one_line", "printable"]

# Languages of other scripts: base64 is shorter there, and faster, than three characters per octet.
OTHER_SCRIPTS = {
    "am", "ar", "be", "bg", "bn", "ckb", "dv", "dz", "el", "fa", "gu", "he", "hi", "hy", "ja", "ka", "kk",
    "km", "kn", "ko", "ky", "lo", "mk", "ml", "mn", "mr", "my", "ne", "pa", "ps", "ru", "sd", "si", "sr",
    "ta", "te", "tg", "th", "ti", "uk", "ur", "yi", "zh",
}  # fmt: skip
CONTROL_BUT_NUL = bytes(set(range(1, 32)) - set(b"\t\n")) + b"\x7f"
CONTROL = b"\0" + CONTROL_BUT_NUL
C1 = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F in UTF-8
FROM = re.compile(rb"^From ", re.MULTILINE)
DELICATE = re.compile(rb"\n(?:From |(?<==20\n)|(?<==09\n))")
OVERLONG = re.compile(rb"^(.{74,})(=20|=09)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mail:
    """What a message says, and the headers that are not the same on all mail.

    `text` and `html` are whole or in chunks of whole lines; those that are `Fixed` are encoded once.
    """

    sender: str  # as `mailbox` makes it, like recipient and reply_to
    recipient: str
    subject: str
    text: str | Sequence[str]
    html: str | Sequence[str]
    message_id: str
    at: datetime
    reply_to: str = ""
    language: str = ""
    extra: tuple[tuple[str, str], ...] = ()


def build(mail: Mail) -> bytes:
    """The message as bytes. The same mail gives the same bytes: its boundary comes from its Message-ID.

    Parts end with a line end, added where it is missing. Raises ValueError or UnicodeError for what no
    message can carry: a lone surrogate, a header value that would be more than one.
    """
    # No encoded part has "=_" in it: after "=" come two digits or a line end, and base64 has no "_".
    boundary = "=_" + sha256(mail.message_id.encode()).hexdigest()[:32]
    reply_to = f"Reply-To: {headers.finished(mail.reply_to)}\r\n" if mail.reply_to else ""
    encoding = _encoding(mail.language)
    text, html = (_base64 if encoding == "base64" else _quoted_printable)(mail.text, mail.html)
    part = f"; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    head = (
        f"From: {headers.finished(mail.sender)}\r\nTo: {headers.finished(mail.recipient)}\r\n{reply_to}"
        f"{headers.subject(mail.subject)}Date: {headers.date(mail.at)}\r\n"
        f"Message-ID: {headers.identifier(mail.message_id)}\r\n"
        f"{headers.language(mail.language)}{headers.more(mail.extra)}MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
        f"\r\n--{boundary}\r\nContent-Type: text/plain{part}"
    )
    between, end = f"\r\n--{boundary}\r\nContent-Type: text/html{part}", f"\r\n--{boundary}--\r\n"
    return b"".join((head.encode(), text, between.encode(), html, end.encode()))


def printable(text: str) -> str:
    """Text without NUL and the other control characters that no mail program shows; CRLF becomes LF."""
    return _octets(text).decode()


def _octets(text: str, unwanted: bytes = CONTROL) -> bytes:
    """Printable text in UTF-8. In bytes, because `translate` is fastest there."""
    data = text.encode().translate(None, unwanted)
    return C1.sub(b"", data) if b"\xc2" in data else data


@lru_cache(maxsize=256)
def _encoding(language: str) -> str:
    """How both parts are encoded: by the language, for that needs no look at the words."""
    first, *subtags = language.lower().split("-")
    return "base64" if first in OTHER_SCRIPTS and "latn" not in subtags else "quoted-printable"


def _base64(*parts: str | Sequence[str]) -> list[bytes]:
    """Each part as a whole: chunks are not multiples of three octets."""
    bodies = []
    for part in parts:
        data = _octets("".join(part))
        if not data.endswith(b"\n"):
            data += b"\n"
        code = b2a_base64(data.replace(b"\n", b"\r\n"), newline=False)
        bodies.append(b"\r\n".join([code[i : i + 76] for i in range(0, len(code), 76)]) + b"\r\n")
    return bodies


def _quoted_printable(*parts: str | Sequence[str]) -> list[bytes]:
    """Chunk by chunk, for encoded lines do not depend on the lines before them: each chunk once."""
    chunked = [(part,) if isinstance(part, str) else part for part in parts]
    own = list(dict.fromkeys(chunk for part in chunked for chunk in part if not isinstance(chunk, Fixed)))
    codes = dict(zip(own, _quoted(own), strict=True))
    bodies = []
    for part in chunked:
        body = b"".join([_quoted_once(one) if isinstance(one, Fixed) else codes[one] for one in part])
        bodies.append(body + b"\r\n" if body[-3:] in {b"", b"=\r\n"} else body)
    return bodies


@lru_cache(maxsize=4096)
def _quoted_once(chunk: Fixed) -> bytes:
    return _quoted([chunk])[0]


def _quoted(chunks: Sequence[str]) -> list[bytes]:
    """Each chunk in quoted-printable; one without a line end is continued by the next.

    All in one go, for calls cost more than octets: a NUL, "=00", marks where each ends.
    """
    data = _octets("\0\n".join([*chunks, ""]), CONTROL_BUT_NUL)
    if data.count(0) > len(chunks):
        return _quoted([chunk.replace("\0", "") for chunk in chunks])
    code = b2a_qp(data)
    if DELICATE.search(code) or code.startswith(b"From "):
        code = OVERLONG.sub(rb"\1=\n\2", FROM.sub(b"=46=\nrom ", code))
    *lines, _ = code.replace(b"\n", b"\r\n").split(b"=00\r\n")
    return [line if line[-1:] in {b"", b"\n"} else line + b"=\r\n" for line in lines]
