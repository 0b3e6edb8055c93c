"""Signed links: one purpose each, expiring. HMAC-SHA-256 over purpose, row and time (django.core.signing)."""

from datetime import timedelta
from enum import Enum

from django.core import signing


class Purpose(Enum):
    """What a link lets its holder do, and for how long."""

    CONFIRM = ("confirm", timedelta(days=7))
    REFUSE = ("refuse", timedelta(days=7))
    THANKS = ("thanks", timedelta(days=7))
    MY_LETTERS = ("my", timedelta(days=180))

    def __init__(self, key: str, lasts: timedelta) -> None:
        self.key = key
        self.lasts = lasts


class WrongLink(LookupError):
    """Not a link of ours, or of another purpose: answered 404, always the same."""


class ExpiredLink(LookupError):
    """A genuine link whose time is over: answered 410, with a way on. Holds the row's number."""

    def __init__(self, number: int) -> None:
        super().__init__("This link has expired.")
        self.number = number


def make(purpose: Purpose, number: int) -> str:
    """The token of a link to one row, for one purpose."""
    return _signer(purpose).sign_object(number)


def read(purpose: Purpose, token: str) -> int:
    """The row's number in a token. Raises WrongLink or ExpiredLink."""
    signer = _signer(purpose)
    try:
        number = signer.unsign_object(token, max_age=purpose.lasts)
    except signing.SignatureExpired:
        raise ExpiredLink(signer.unsign_object(token)) from None
    except (signing.BadSignature, ValueError):
        raise WrongLink("Not a link of ours.") from None
    if not isinstance(number, int):
        raise WrongLink("Not a link of ours.")
    return number


def _signer(purpose: Purpose) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"letters.links.{purpose.key}")
