"""Builders with defaults: what a story needs, in a line."""

import itertools
from datetime import date, timedelta

from django.utils import timezone

from contacts.loading import load_world
from contacts.models import Country, Office
from letters import signup
from letters.loading import DATA, approve, load_campaign
from letters.models import Campaign, Delivery, Letter

_numbers = itertools.count(1)


def world() -> None:
    """The States, their phrases and salutations."""
    if not Country.objects.exists():
        load_world()


def campaign(
    slug: str = "peace", *, opened: bool = True, approved: bool = True, **changes: object
) -> Campaign:
    """The shipped campaign under another key, open for a month, its texts approved."""
    world()
    today = timezone.now().date()
    row = load_campaign(
        DATA / "un2020", slug=slug, opens_on=today, closes_on=today + timedelta(days=30), rehearsal=True
    )
    if approved:
        for text in row.texts.all():
            approve(text, rehearsal="first")
            approve(text, rehearsal="second")
    row.signup = Campaign.Signup.OPEN if opened else Campaign.Signup.CLOSED
    row.per_office_hour = 100_000
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


def office(country: str = "FR", *, address: str | None = "default") -> Office:
    """The ministry of a State, with an address unless told otherwise."""
    world()
    row = Office.objects.ministries().select_related("country").get(country=country)
    if address:
        row.email = f"cabinet@mfa.{country.lower()}.example" if address == "default" else address
        row.source_url, row.checked_on = "https://www.mfa.example/contact", date(2026, 1, 1)
        row.save()
    return row


def signer(**changes: object) -> signup.Signer:
    """Somebody new who signs."""
    number = next(_numbers)
    values = {
        "name": f"Amélie Dupont {number}",
        "email": f"amelie{number}@people.example",
        "reading_language": "fr",
        "consent_wording": "J'accepte.",
    }
    return signup.Signer(**(values | changes))


def unconfirmed(
    row: Campaign,
    *,
    country: str = "FR",
    asks: tuple[str, ...] = ("speeches",),
    own_words: str = "",
    **changes: object,
) -> Letter:
    """A letter that waits for confirmation."""
    ministry = Office.objects.ministries().select_related("country").get(country=country)
    letter = signup.sign(row, ministry, list(asks), own_words=own_words, signer=signer(**changes))
    assert letter is not None
    return letter


def confirmed(row: Campaign, **changes: object) -> Letter:
    """A letter that its sender confirmed."""
    return signup.confirm(unconfirmed(row, **changes).pk)


def delivery_of(letter: Letter) -> Delivery:
    """The letter's own delivery (not its confirmation)."""
    return Delivery.objects.get(letter=letter, kind=Delivery.Kind.LETTER)
