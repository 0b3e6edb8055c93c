"""The vocabulary of sets: open offices, the phrases of a day."""

from datetime import date

import pytest

from contacts.models import CountryPhrases, Office
from tests import builders

pytestmark = pytest.mark.django_db


def test_an_office_is_open_only_where_its_state_can_be_written_to() -> None:
    france, myanmar = builders.office("FR"), builders.office("MM")
    closed = Office.objects.create(country=france.country, label="closed", state=Office.State.OFF)
    unknown = builders.office("DE", address=None)
    these = Office.objects.filter(pk__in=[france.pk, myanmar.pk, closed.pk, unknown.pk])

    assert set(these.open()) == {france, unknown}
    assert set(these.sendable()) == {france}


def test_a_state_that_changed_its_name_is_spoken_of_as_on_the_day() -> None:
    builders.world()
    for name, valid_from in [("Türkiye", date(2022, 6, 1)), ("Turkey", None), ("Anatolia", date(2100, 1, 1))]:
        CountryPhrases.objects.create(country_id="TR", language="eo", name=name, valid_from=valid_from)

    def named(day: date) -> str:
        return CountryPhrases.objects.of_country("TR", day=day, language="eo").name

    assert named(date(2022, 5, 31)) == "Turkey"
    assert named(date(2022, 6, 1)) == "Türkiye"
    assert named(date(2099, 12, 31)) == "Türkiye"
    assert CountryPhrases.objects.of_country("FR", day=date(2022, 6, 1), language="eo") is None
    assert set(CountryPhrases.objects.on(date(2022, 6, 1), "eo")) == {"TR"}
