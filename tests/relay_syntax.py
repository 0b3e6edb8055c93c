"""What a relay reads: the addresses of an envelope, the body of a message, and offences in both. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

PART = r'(?:"(?:\\.|[^"\\])*"|[^<>\s"])'  # of an address: something quoted or one character
PATHS = {
    "FROM": re.compile(rf"FROM:<({PART}*)>((?: \S+)*)", re.I),  # nobody is a sender, but no recipient
    "TO": re.compile(rf"TO:<({PART}+)>((?: \S+)*)", re.I),
}
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.M | re.I)
LINE = 998  # octets without the line end (RFC 5321 §4.5.3.1.6)
BRINGS = {
    "AUTH": "AUTH",
    "BODY": "8BITMIME",
    "ENVID": "DSN",
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
    "RET": "DSN",
    "SIZE": "SIZE",
    "SMTPUTF8": "SMTPUTF8",
}  # parameters of MAIL and RCPT, and the extension that brings each


class Path(NamedTuple):
    """What follows MAIL or RCPT."""

    text: str
    sound: bool  # whether it could be read
    address: str
    parameters: Mapping[str, str]  # names and values in capitals


def path(whose: str, text: str) -> Path:
    """Reads `FROM:<address> PARAMETER=VALUE` or the same with TO; `whose`: which of the two."""
    found = PATHS[whose].fullmatch(text)
    if found is None:
        return Path(text, False, "", {})
    parameters = dict(part.upper().partition("=")[::2] for part in found[2].split())
    return Path(text, re.fullmatch("[0-9]*", parameters.get("SIZE", "")) is not None, found[1], parameters)


def objection(said: Path, offered: Mapping[str, str], *, utf8: bool) -> tuple[str, str]:
    """The refusal of an address and the offence in it, if any ("" and "").

    `offered` are the extensions and their parameters; `utf8`: whether MAIL announced SMTPUTF8.
    """
    if not said.sound:
        return "501 5.5.4 syntax error", f"not the syntax of an envelope: {said.text!r}"
    for name in said.parameters:
        if BRINGS.get(name) not in offered:
            return f"555 5.5.4 unsupported option {name}", f"{name} where it is not offered"
    if not (utf8 or said.address.isascii()):
        return "553 5.6.7 must use SMTPUTF8", f"{said.address} without SMTPUTF8"
    if too_big(int(said.parameters.get("SIZE") or 0), offered):
        return "552 5.3.4 message too big", ""
    return "", ""


def too_big(size: int, offered: Mapping[str, str]) -> bool:
    """Whether a message of so many octets is beyond the SIZE that was offered; 0 or none: any size."""
    return 0 < int(offered.get("SIZE") or 0) < size


def unstuffed(raw: bytes) -> bytes:
    """The message as it was before its dots were doubled."""
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n")[2:]


def message_id(message: bytes) -> str:
    """The Message-ID in the header; "" without one."""
    found = MESSAGE_ID.search(message.partition(b"\r\n\r\n")[0])
    return found[1].decode("utf-8", "replace") if found else ""


def offences(raw: bytes, message: bytes, *, eight_bit: bool) -> Iterator[str]:
    """What no client may send in a body: `raw` with its dots still doubled, `message` without.

    `eight_bit`: whether it was announced as 8BITMIME.
    """
    ends = raw.count(b"\r\n")
    if raw.count(b"\n") != ends:
        yield "a bare LF in the body"
    if raw.count(b"\r") != ends:
        yield "a bare CR in the body"
    if b"\0" in raw:
        yield "a NUL in the body"
    if max(map(len, message.split(b"\r\n"))) > LINE:
        yield f"a line over {LINE} octets in the body"
    if raw.startswith(b".") + raw.count(b"\r\n.") != raw.startswith(b"..") + raw.count(b"\r\n.."):
        yield "a dot that was not doubled in the body"
    if not (eight_bit or raw.isascii()):
        yield "8-bit octets in a body not announced as 8BITMIME"
