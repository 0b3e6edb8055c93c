"""E-mail addresses: normalised, compared, masked. Pure: no database, no network."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254  # octets, RFC 5321 §4.5.3.1.3 less the angle brackets
DOTS_FOLDED = {"gmail.com", "googlemail.com"}  # Google ignores dots in the local part


class AddressError(ValueError):
    """The text is not an address that mail can be sent to; the message says why."""


def normalise(address: str) -> str:
    """The address as it is stored and written to: trimmed, NFC, domain in lower case and Unicode.

    Raises AddressError for anything RFC 5321 and RFC 6531 would not carry, line breaks included.
    """
    if any(unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} for char in address.strip(" ")):
        raise AddressError("The address contains a control character.")
    try:
        found = validate_email(address.strip(" "), check_deliverability=False)
    except EmailNotValidError as error:
        raise AddressError(str(error)) from None
    if len(found.normalized.encode()) > MAX_LENGTH:
        raise AddressError("The address is too long.")
    local, domain = found.normalized.rsplit("@", 1)
    return f"{local}@{domain.lower()}"


def envelope(address: str) -> str:
    """The address for MAIL and RCPT: its domain in ASCII (IDNA), its local part as it is.

    Raises AddressError as `normalise` does.
    """
    local, domain = normalise(address).rsplit("@", 1)
    return f"{local}@{_ascii(domain)}"


def address_key(address: str) -> str:
    """What two spellings of one mailbox have in common: for brakes, uniqueness and suppression.

    Lower case, the +tag cut off, Gmail's dots folded, the domain in ASCII. Never written to.
    Raises AddressError as `normalise` does.
    """
    local, domain = normalise(address).rsplit("@", 1)
    local = unicodedata.normalize("NFKC", local).lower()
    local = local.split("+", 1)[0] or local
    domain = _ascii(domain)
    if domain in DOTS_FOLDED:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"{local}@{domain}"


def mask(address: str) -> str:
    """The address for logs and lists: its first letter and its domain, a…@example.org."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if domain else "…"


def domain_of(address: str) -> str:
    """The domain in lower-case ASCII, or "" when there is none."""
    return _ascii(address.rpartition("@")[2].lower())


def _ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii").lower() if not domain.isascii() else domain.lower()
    except UnicodeError:
        return domain.lower()
