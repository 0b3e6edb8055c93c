"""The world as shipped is complete and reads well; loading it again leaves people's edits alone."""

import csv
import re
import shutil
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from contacts.loading import DATA, load_world
from contacts.models import Country, CountryPhrases, Office, SalutationForm
from tests import builders

pytestmark = pytest.mark.django_db
LANGUAGES = ("en", "fr", "es")
# "de El Salvador" is right: the article belongs to the name.
ASSEMBLED = re.compile(
    r"\b(de le|de les|de du|de des|à le|à les|à du|en le|en les|de el|a el|de (?=les? ))\b(?! Salvador)",
    re.IGNORECASE,
)
# "de Andorra" but not "de Espagne": French elides before a vowel, and never doubles.
NOT_ELIDED = re.compile(r"\b(de|le|la) (?=[aàâeéèêiîoôuœAÀÂEÉÈÊIÎOÔUŒ])")


@pytest.fixture(autouse=True)
def _world() -> None:
    builders.world()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the data files, to be changed."""
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def change(path: Path, key: dict[str, str], **values: str) -> None:
    """Changes one row of a data file, known by some of its columns."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [row for row in rows if key.items() <= row.items()]
    assert len(found) == 1
    found[0].update(values)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_all_member_and_observer_states_are_there() -> None:
    assert Counter(Country.objects.values_list("status", flat=True)) == {"member": 193, "observer": 2}
    groups = Counter(Country.objects.filter(status="member").values_list("group", flat=True))
    assert groups == {"African": 54, "Asia-Pacific": 54, "EEG": 23, "GRULAC": 33, "WEOG": 29}


def test_every_state_has_one_ministry_without_a_guessed_address() -> None:
    assert Office.objects.ministries().count() == 195
    assert not Office.objects.exclude(email="").exists()


def test_four_states_are_not_written_to_until_somebody_decides() -> None:
    off = Country.objects.filter(enabled=False)

    assert sorted(off.values_list("pk", flat=True)) == ["AF", "MM", "PS", "VA"]


def test_loading_into_an_empty_house_makes_everything_and_again_nothing() -> None:
    for model in (SalutationForm, CountryPhrases, Office, Country):
        model.objects.all().delete()

    first, again = load_world(), load_world()

    assert first.created == 195 + CountryPhrases.objects.count() + SalutationForm.objects.count()
    assert (first.changed, first.kept) == (0, 0)
    assert (again.created, again.changed, again.kept) == (0, 0, 0)
    assert Office.objects.count() == 195


def test_a_coordinators_edit_stays_while_all_else_follows_the_files(files: Path) -> None:
    Country.objects.filter(pk="FR").update(head_title="Ministre d'État")
    CountryPhrases.objects.filter(country="FR", language="fr", valid_from=None).update(of="de France")
    SalutationForm.objects.filter(language="fr", gender="f", country=None).update(salutation="Madame,")
    change(
        files / "countries.csv", {"code": "FR"}, head_title="Minister", name="French Republic", enabled="0"
    )
    change(
        files / "country_phrases.csv",
        {"country": "FR", "language": "fr"},
        of="de la Gaule",
        inline="la Gaule",
    )
    change(
        files / "salutations.csv",
        {"language": "fr", "country": "", "gender": "f"},
        salutation="Chère Madame,",
        closing="Bien à vous.",
    )

    report = load_world(files)

    france = Country.objects.get(pk="FR")
    assert (france.head_title, france.name, france.enabled) == ("Ministre d'État", "French Republic", False)
    phrases = CountryPhrases.objects.get(country="FR", language="fr")
    assert (phrases.of, phrases.inline) == ("de France", "la Gaule")
    salutation = SalutationForm.objects.get(language="fr", gender="f", country=None)
    assert (salutation.salutation, salutation.closing) == ("Madame,", "Bien à vous.")
    assert (report.created, report.changed, report.kept) == (0, 3, 3)


def test_an_edit_outlives_any_number_of_loads(files: Path) -> None:
    Country.objects.filter(pk="FR").update(note="Asked by telephone")
    for note in ("one", ""):
        change(files / "countries.csv", {"code": "FR"}, note=note)
        load_world(files)

    assert Country.objects.get(pk="FR").note == "Asked by telephone"


def test_phrases_of_a_later_date_are_a_persons_own(files: Path) -> None:
    row = CountryPhrases.objects.create(country_id="FR", language="fr", valid_from="2030-01-01", name="Gaule")

    load_world(files)

    row.refresh_from_db()
    assert row.name == "Gaule"


@pytest.mark.parametrize(
    ("column", "value"), [("member_since", "yesterday"), ("tile_col", "left"), ("member_since", "1980-02-30")]
)
def test_a_broken_row_changes_nothing(files: Path, column: str, value: str) -> None:
    change(files / "countries.csv", {"code": "AF"}, name="Changed")
    change(files / "countries.csv", {"code": "ZW"}, **{column: value})

    with pytest.raises(ValueError, match=r"isoformat|int\(\)|day"):
        load_world(files)
    assert Country.objects.get(pk="AF").name == "Afghanistan"


def test_a_missing_file_changes_nothing(files: Path) -> None:
    change(files / "countries.csv", {"code": "AF"}, name="Changed")
    (files / "salutations.csv").unlink()

    with pytest.raises(FileNotFoundError):
        load_world(files)
    assert Country.objects.get(pk="AF").name == "Afghanistan"


@pytest.mark.parametrize(
    ("code", "language", "of", "in_country"),
    [
        ("FR", "fr", "de la France", "en France"),
        ("US", "fr", "des États-Unis d'Amérique", "aux États-Unis d'Amérique"),
        ("HT", "fr", "d'Haïti", "en Haïti"),
        ("IR", "fr", "de la République islamique d'Iran", "en République islamique d'Iran"),
        ("NL", "fr", "du Royaume des Pays-Bas", "au Royaume des Pays-Bas"),
        ("SV", "fr", "d'El Salvador", "en El Salvador"),
        ("CU", "fr", "de Cuba", "à Cuba"),
        ("VA", "fr", "du Saint-Siège", "au Saint-Siège"),
        ("NL", "es", "del Reino de los Países Bajos", "en el Reino de los Países Bajos"),
        ("SV", "es", "de El Salvador", "en El Salvador"),
        ("US", "es", "de los Estados Unidos de América", "en los Estados Unidos de América"),
        ("HT", "es", "de Haití", "en Haití"),
        ("NL", "en", "of the Kingdom of the Netherlands", "in the Kingdom of the Netherlands"),
        ("FR", "en", "of France", "in France"),
    ],
)
def test_a_state_is_spoken_of_as_a_careful_person_would(
    code: str, language: str, of: str, in_country: str
) -> None:
    phrases = CountryPhrases.objects.get(country=code, language=language)

    assert (phrases.of, phrases.in_country) == (of, in_country)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_has_every_phrase_and_none_is_put_together_from_pieces(language: str) -> None:
    rows = CountryPhrases.objects.filter(language=language)

    assert rows.count() == 195
    for row in rows:
        for phrase in (row.name, row.inline, row.of, row.in_country, row.ministry):
            assert phrase
            assert phrase == " ".join(phrase.split())
            assert not ASSEMBLED.search(phrase)
        if language == "fr":
            assert not NOT_ELIDED.search(row.of)


@pytest.mark.parametrize("gender", ["m", "f", "unknown", "institution"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_a_salutation_and_its_closing_for_everybody(language: str, gender: str) -> None:
    row = SalutationForm.objects.get(language=language, gender=gender, country=None, holder=None)

    assert row.salutation
    assert row.closing


def test_a_french_closing_repeats_its_own_salutation() -> None:
    for row in SalutationForm.objects.filter(language="fr"):
        assert f", {row.salutation.rstrip(',')}, " in row.closing


def test_the_command_says_what_it_did() -> None:
    out = StringIO()
    call_command("load_countries", stdout=out)

    assert out.getvalue() == "created 0, changed 0, kept as edited 0\n"
