"""Record what people consented to, and whom not to write to."""

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

from contacts.addresses import address_key
from contacts.models import Consent, Supporter, Suppression


def give(supporter: Supporter, purpose: str, *, wording: str, language: str) -> Consent:
    """Records that a supporter consents to a purpose, with the exact words shown to them."""
    return Consent.objects.create(
        supporter=supporter, purpose=purpose, act=Consent.Act.GIVEN, wording=wording, language=language
    )


def withdraw(supporter: Supporter, purpose: str, *, wording: str, language: str) -> Consent | None:
    """Records that a supporter takes consent back; None where none was in force. May happen twice."""
    if not holds(supporter, purpose):
        return None
    return Consent.objects.create(
        supporter=supporter, purpose=purpose, act=Consent.Act.WITHDRAWN, wording=wording, language=language
    )


def holds(supporter: Supporter, purpose: str) -> bool:
    """Whether the supporter's latest act for the purpose was to consent."""
    latest = Consent.objects.filter(supporter=supporter, purpose=purpose).order_by("-pk").first()
    return latest is not None and latest.act == Consent.Act.GIVEN


def suppress(
    address: str, *, reason: Suppression.Reason, scope: Suppression.Scope = Suppression.Scope.ALL
) -> Suppression:
    """Stops mail to an address. May happen twice: the first reason stands.

    Raises AddressError when the text is no address.
    """
    row, _ = Suppression.objects.get_or_create(
        address_hash=fingerprint(address), scope=scope, defaults={"reason": reason}
    )
    return row


def suppressed(
    addresses: Iterable[str],
    *,
    scope: Suppression.Scope = Suppression.Scope.ALL,
    ignoring: Suppression.Reason | None = None,
) -> set[str]:
    """Those of the addresses that must not be written to, in one query; one reason may be left out."""
    hashes = {address: fingerprint(address) for address in addresses}
    scopes = {Suppression.Scope.ALL, scope}
    rows = Suppression.objects.filter(address_hash__in=set(hashes.values()), scope__in=scopes)
    if ignoring is not None:
        rows = rows.exclude(reason=ignoring)
    found = set(rows.values_list("address_hash", flat=True))
    return {address for address, hashed in hashes.items() if hashed in found}


def fingerprint(address: str) -> str:
    """A keyed hash of the mailbox (HMAC-SHA-256, RFC 2104): without the key nobody can test guesses."""
    return _hashed(address, settings.SUPPRESSION_KEY)


@lru_cache(maxsize=4096)  # a batch asks for the same offices again and again
def _hashed(address: str, key: str) -> str:
    return hmac.new(key.encode(), address_key(address).encode(), hashlib.sha256).hexdigest()
