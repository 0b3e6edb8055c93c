"""Tokens in addresses and references. Pure: randomness and keys come in as arguments.

Reply tokens route an answer to its letter and authorise nothing. Bounce tokens carry the number of a
delivery and a keyed check, so that nobody can forge a bounce of a letter (VERP, signed).
"""

import hmac
import re
from collections.abc import Callable

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # 31 symbols; no 0 o 1 i l, which people mix up
BASE = len(ALPHABET)  # prime: the weighted check finds every single slip and every swap of neighbours
TOKEN_SYMBOLS = 12
REPLY = re.compile(rf"^r-([{ALPHABET}]{{{TOKEN_SYMBOLS + 1}}})$")
BOUNCE = re.compile(r"^b-([0-9a-z]{1,13})-([0-9a-f]{20})$")
REFERENCE = re.compile(rf"\b([A-Z][A-Z0-9]{{1,9}}-[A-Z]{{2}}-[{ALPHABET.upper()}]{{4,8}})\b")

Choose = Callable[[str], str]  # picks one symbol of a string, unpredictably: secrets.choice


def check_symbol(symbols: str) -> str:
    """The symbol that follows the others; differs after any one wrong symbol or swap of neighbours."""
    total = sum((place + 1) * ALPHABET.index(symbol) for place, symbol in enumerate(symbols))
    return ALPHABET[total % BASE]


def new_reply_token(choose: Choose) -> str:
    """Twelve random symbols and their check symbol (59 bits: routes, never authorises)."""
    symbols = "".join(choose(ALPHABET) for _ in range(TOKEN_SYMBOLS))
    return symbols + check_symbol(symbols)


def valid_reply_token(token: str) -> bool:
    """Whether a token has the right length, alphabet and check symbol."""
    return REPLY.match(f"r-{token}") is not None and check_symbol(token[:-1]) == token[-1]


def new_reference(prefix: str, country: str, choose: Choose, symbols: int = 4) -> str:
    """A public reference such as UN75-FR-7K3M: for people to quote, not secret."""
    tail = "".join(choose(ALPHABET) for _ in range(symbols)).upper()
    return f"{prefix}-{country}-{tail}"


def reply_address(token: str, domain: str) -> str:
    """The address at which an answer to a letter arrives."""
    return f"r-{token}@{domain}"


def bounce_address(delivery: int, key: bytes, domain: str) -> str:
    """The envelope sender of one delivery, which only the holder of the key can make."""
    return f"b-{_base36(delivery)}-{_bounce_check(delivery, key)}@{domain}"


def reply_token_in(address: str, domain: str) -> str | None:
    """The reply token of an address of ours, whatever its letter case; None for any other address."""
    local, _, found = address.strip().lower().rpartition("@")
    match = REPLY.match(local)
    return match[1] if match and found == domain and valid_reply_token(match[1]) else None


def delivery_in(address: str, key: bytes, domain: str) -> int | None:
    """The delivery that a genuine bounce address of ours stands for; None for any other or forged one."""
    local, _, found = address.strip().lower().rpartition("@")
    match = BOUNCE.match(local)
    if not match or found != domain:
        return None
    delivery = int(match[1], 36)
    genuine = hmac.compare_digest(match[2], _bounce_check(delivery, key))
    return delivery if genuine and delivery < 2**63 else None


def references_in(text: str) -> list[str]:
    """Public references quoted in a text, in order, each once."""
    return list(dict.fromkeys(match.upper() for match in REFERENCE.findall(text.upper())))


def _bounce_check(delivery: int, key: bytes) -> str:
    return hmac.digest(key, f"bounce:{delivery}".encode(), "sha256").hex()[:20]


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    while True:
        number, rest = divmod(number, 36)
        out = digits[rest] + out
        if not number:
            return out
