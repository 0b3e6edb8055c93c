"""The shipped campaign: loads again without overwriting anybody's words; its texts are whole and dated."""

import tomllib
from datetime import date

import pytest

from contacts.models import Organisation
from letters.loading import DATA, load_campaign
from letters.models import Campaign, Text
from letters.rules.placeholders import parse, slots
from tests import builders

ASKS = ["speeches", "fund", "attend", "inclusion", "rules"]
FOLDER = DATA / "un2020"


def data(language):
    return tomllib.loads((FOLDER / f"texts.{language}.toml").read_text("utf-8"))


@pytest.mark.django_db
def test_the_campaign_ships_closed_and_dated_as_it_was_its_texts_as_drafts():
    row = load_campaign(FOLDER)
    assert (row.slug, row.reference_prefix) == ("un2020", "UN75")
    assert (row.opens_on, row.closes_on) == (date(2019, 9, 1), date(2019, 9, 30))
    assert (row.signup, row.sending, row.rehearsal) == ("closed", "draft", False)
    assert list(row.asks.values_list("key", flat=True)) == ASKS
    assert [one.organisation.name for one in row.organiser_rows.all()] == [
        "UN2020",
        "Together First",
    ]
    assert set(row.texts.values_list("state", flat=True)) == {"draft"}
    for language in ("en", "fr", "es"):
        kinds = list(row.texts.filter(language=language).values_list("kind", flat=True))
        assert sorted(kinds) == sorted(["letter", "footer", "story", *["ask"] * 5])


@pytest.mark.django_db
def test_loading_again_adds_nothing_and_overwrites_nothing():
    row = load_campaign(FOLDER)
    Campaign.objects.filter(pk=row.pk).update(goal=7, closes_on=date(2019, 12, 31))
    row.texts.filter(kind="letter").update(body="A coordinator's own words.", state="approved")
    Organisation.objects.filter(slug="un2020").update(name="UN2020 renamed")
    row.asks.filter(key="fund").update(position=9)
    row.organiser_rows.filter(organisation__slug="together-first").delete()
    before = list(Text.objects.order_by("pk").values())
    again = load_campaign(FOLDER)
    assert list(Text.objects.order_by("pk").values()) == before
    assert (again.pk, again.goal, again.closes_on) == (row.pk, 7, date(2019, 12, 31))
    assert Organisation.objects.get(slug="un2020").name == "UN2020 renamed"
    assert row.asks.get(key="fund").position == 9
    assert again.organiser_rows.count() == 1


@pytest.mark.django_db
def test_a_copy_has_its_own_key_dates_and_texts():
    original = load_campaign(FOLDER)
    copy = load_campaign(
        FOLDER, slug="again", opens_on=date(2030, 1, 1), closes_on=date(2030, 2, 1), rehearsal=True
    )
    assert (copy.slug, copy.opens_on, copy.rehearsal) == ("again", date(2030, 1, 1), True)
    assert copy.texts.count() == original.texts.count() == 24
    assert Organisation.objects.count() == 2


@pytest.mark.django_db
def test_a_broken_file_changes_nothing(tmp_path):
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace("{{ closing }}", "{{ closng }}"))
    Organisation.objects.filter(slug="un2020").update(name="as it was")
    with pytest.raises(Exception, match="closng"):
        load_campaign(tmp_path)
    assert not Campaign.objects.filter(slug="un2020").exists()
    assert Organisation.objects.get(slug="un2020").name == "as it was"


@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_a_shipped_letter_has_all_its_parts(language):
    shipped = data(language)
    assert slots(parse(shipped["letter"]["body"])) >= {
        "addressee", "salutation", "asks", "own_words", "closing", "signature", "country.of",
    }  # fmt: skip
    footer = slots(parse(shipped["footer"]["body"]))
    assert footer == {"sender.name", "campaign", "organisers", "reply_address", "reference"}
    assert list(shipped["asks"]) == ASKS
    for ask in shipped["asks"].values():
        parse(ask["sentence"])
        assert ask["sentence"].endswith(".")
        assert not ask["label"].endswith(".")
        assert ask["why"]


@pytest.mark.parametrize(
    ("language", "summit", "month"),
    [
        ("en", "21 September 2020", "September 2019"),
        ("fr", "21 septembre 2020", "septembre 2019"),
        ("es", "21 de septiembre de 2020", "septiembre de 2019"),
    ],
)
def test_the_words_carry_absolute_dates(language, summit, month):
    shipped = data(language)
    assert summit in shipped["letter"]["body"]
    assert summit in shipped["asks"]["attend"]["sentence"]
    assert month in shipped["story"]["closed_note"]


@pytest.mark.django_db
def test_the_builders_campaign_is_the_shipped_one_approved_and_open():
    row = builders.open_campaign()
    assert row.signup == Campaign.Signup.OPEN
    assert Text.objects.approved().filter(campaign=row).count() == 24
