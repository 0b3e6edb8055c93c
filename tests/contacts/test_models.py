"""Offices, their holders, supporters: what the rows themselves refuse and keep in step."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from contacts.addresses import AddressError
from contacts.models import (
    Consent,
    Country,
    CountryPhrases,
    Office,
    OfficeHolder,
    SalutationForm,
    Supporter,
)
from contacts.models.office import NAME_STOP_DAYS, NAME_WARN_DAYS
from tests import builders

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 23)
KNOWN = {"source_url": "https://www.mfa.example/contact", "checked_on": date(2026, 1, 1)}


@pytest.fixture
def france() -> Country:
    builders.world()
    return Country.objects.get(pk="FR")


@pytest.fixture
def ministry(france: Country) -> Office:
    return builders.office("FR", address="cabinet@mfa.fr.example")


def test_a_country_knows_its_ministrys_languages_in_order(france: Country) -> None:
    france.letter_languages = "fr en"

    assert france.languages == ["fr", "en"]


@pytest.mark.parametrize("missing", [{"source_url": ""}, {"checked_on": None}])
def test_an_address_without_source_or_date_is_refused(france: Country, missing: dict[str, object]) -> None:
    office = Office(country=france, label="Europe", email="x@mfa.fr.example", **(KNOWN | missing))

    with pytest.raises(ValidationError, match="source"):
        office.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        office.save()
    office.email = ""
    office.save()  # without an address, neither is needed


def test_an_address_is_normalised_or_refused_when_checked(ministry: Office) -> None:
    ministry.email = " Cabinet@MFA.FR.example"
    ministry.full_clean()
    assert ministry.email == "Cabinet@mfa.fr.example"

    ministry.email = "cabinet@mfa.fr.example\r\nBcc: x@evil.example"
    with pytest.raises(ValidationError) as refusal:
        ministry.full_clean()
    assert "email" in refusal.value.message_dict


def test_writing_only_the_address_brings_its_key_along(ministry: Office) -> None:
    ministry.email, ministry.note = "Nouveau+web@mfa.fr.example", "not meant to be written"
    ministry.save(update_fields=["email"])

    ministry.refresh_from_db()
    assert (ministry.address_key, ministry.note) == ("nouveau@mfa.fr.example", "")


def test_an_address_taken_away_takes_its_key_along(ministry: Office) -> None:
    ministry.email = ""
    ministry.save()

    ministry.refresh_from_db()
    assert ministry.address_key == ""


@pytest.mark.parametrize(
    ("changes", "sendable"), [({}, True), ({"email": ""}, False), ({"state": Office.State.OFF}, False)]
)
def test_an_office_is_sendable_with_an_address_and_while_open(
    ministry: Office, changes: dict[str, object], sendable: bool
) -> None:
    for name, value in changes.items():
        setattr(ministry, name, value)
    ministry.save()

    assert ministry.sendable is sendable
    assert Office.objects.sendable().filter(pk=ministry.pk).exists() is sendable


def test_a_country_has_one_ministry_and_as_many_labelled_ones_as_it_likes(france: Country) -> None:
    Office.objects.create(country=france, label="Europe")
    Office.objects.create(country=france, kind=Office.Kind.MISSION_GENEVA)

    with pytest.raises(IntegrityError), transaction.atomic():
        Office.objects.create(country=france)
    assert Office.objects.ministries().filter(country=france).count() == 1


@pytest.mark.parametrize(
    ("days", "usable", "stale"),
    [
        (0, True, False),
        (NAME_WARN_DAYS, True, False),
        (NAME_WARN_DAYS + 1, True, True),
        (NAME_STOP_DAYS, True, True),
        (NAME_STOP_DAYS + 1, False, True),
    ],
)
def test_a_name_grows_stale_and_then_is_used_no_more(days: int, usable: bool, stale: bool) -> None:
    holder = OfficeHolder(name="Jeanne Martin", verified_on=TODAY - timedelta(days=days))

    assert (NAME_WARN_DAYS, NAME_STOP_DAYS) == (90, 180)
    assert (holder.usable(TODAY), holder.stale(TODAY)) == (usable, stale)


def test_a_minister_who_left_is_neither_usable_nor_worth_verifying() -> None:
    holder = OfficeHolder(name="Jeanne Martin", verified_on=TODAY, until=TODAY)

    assert not holder.usable(TODAY)
    assert not holder.stale(TODAY + timedelta(days=200))


def test_a_supporter_is_kept_under_one_spelling() -> None:
    amelie = Supporter.objects.create(email=" Amelie+x@BÜCHER.example", name="Amélie", language="fr")

    amelie.refresh_from_db()
    assert (amelie.email, amelie.address_key) == ("Amelie+x@bücher.example", "amelie@xn--bcher-kva.example")
    with pytest.raises(IntegrityError), transaction.atomic():
        Supporter.objects.create(email="amelie@bücher.example", name="Somebody else", language="fr")
    with pytest.raises(AddressError):
        Supporter.objects.create(email="amelie", name="Amélie", language="fr")


def test_a_consent_is_never_changed() -> None:
    amelie = Supporter.objects.create(email="amelie@people.example", name="Amélie", language="fr")
    given = Consent.objects.create(
        supporter=amelie, purpose="letter:un2020", act=Consent.Act.GIVEN, wording="J'accepte.", language="fr"
    )

    given.act = Consent.Act.WITHDRAWN
    with pytest.raises(ValidationError):
        given.save()
    assert Consent.objects.get().act == Consent.Act.GIVEN


def test_phrases_and_salutations_stand_once(france: Country) -> None:
    phrases = {"country": france, "language": "eo", "name": "Francio"}
    form = {"language": "eo", "gender": "f", "salutation": "Estimata Ministrino,", "closing": "…"}
    CountryPhrases.objects.create(**phrases)
    CountryPhrases.objects.create(**phrases, valid_from=TODAY)
    SalutationForm.objects.create(**form)
    SalutationForm.objects.create(**form, country=france)

    for model, values in [
        (CountryPhrases, phrases),
        (CountryPhrases, phrases | {"valid_from": TODAY}),
        (SalutationForm, form),
        (SalutationForm, form | {"country": france}),
    ]:
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.create(**values)
