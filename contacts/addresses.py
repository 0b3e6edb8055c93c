"""E-mail addresses: normalised, compared, masked. Pure: no database, no network."""

import unicodedata

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

MAX_LENGTH = 254  # octets, RFC 5321 §4.5.3.1.3 less the angle brackets
DOTS_FOLDED = {"gmail.com", "googlemail.com"}  # Google ignores dots in the local part


class AddressError(ValueError):
    """The text is not an address that mail can be sent to; the message says why."""


def normalise(address: str) -> str:
    """The address as it is stored and written to: trimmed, NFC, domain in lower case and Unicode.

    Raises AddressError for anything RFC 5321 and RFC 6531 would not carry, line breaks included.
    """
    return _spelt(_checked(address))


def envelope(address: str) -> str:
    """The address for MAIL and RCPT: its domain in ASCII (IDNA), its local part as it is.

    Raises AddressError as `normalise` does.
    """
    found = _checked(address)
    return f"{found.local_part}@{found.ascii_domain.lower()}"


def address_key(address: str) -> str:
    """What two spellings of one mailbox have in common: for brakes, uniqueness and suppression.

    Lower case, the +tag cut off, Gmail's dots folded, the domain in ASCII. Never written to.
    Raises AddressError as `normalise` does.
    """
    return _key(_checked(address))


def mask(address: str) -> str:
    """The address for logs and lists: its first letter and its domain, a…@example.org."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if at else "…"


def domain_of(address: str) -> str:
    """The domain in lower-case ASCII, or "" when there is none."""
    domain = address.rpartition("@")[2].lower()
    if domain.isascii():
        return domain
    try:
        # Not Python's own codec: IDNA 2003 takes straße.de for strasse.de, which is somebody else's.
        return validate_email(f"a@{domain}", check_deliverability=False).ascii_domain.lower()
    except EmailNotValidError:
        return domain


def _checked(address: str) -> ValidatedEmail:
    address = address.strip(" ")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} for char in address):
        raise AddressError("The address contains a control character.")
    try:
        found = validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise AddressError(str(error)) from None
    # Some letters grow when they are folded: an address whose key has no room is refused as a whole.
    if max(len(_spelt(found).encode()), len(_key(found).encode())) > MAX_LENGTH:
        raise AddressError("The address is too long.")
    return found


def _spelt(found: ValidatedEmail) -> str:
    return f"{found.local_part}@{found.domain.lower()}"


def _key(found: ValidatedEmail) -> str:
    local, domain = unicodedata.normalize("NFKC", found.local_part).lower(), found.ascii_domain.lower()
    local = local.split("+", 1)[0] or local
    if domain in DOTS_FOLDED:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"{local}@{domain}"
