"""Letters put together from real texts and real phrases: whole, in the right words, and kept as sent."""

import re
from datetime import date, timedelta

import pytest

from contacts.models import CountryPhrases, Office, OfficeHolder, SalutationForm
from letters import composing, outbox, previewing, signup
from letters.models import Form, Text
from letters.rules import composing as rules
from tests import builders

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 23)
PERSON = rules.Person(
    name="Amélie Dupont", place="Lyon, France", signature="Amélie Dupont\nLyon, France",
    asks=("speeches", "attend"), own_words="I care.", reference="UN75-XX-7K3M", reply_address="r-x@d.example",
)  # fmt: skip
LEFT_OVER = re.compile(r"\{\{|\}\}|\{%|\bNone\b|\[|  |\n\n\n|^ | ,|^,", re.MULTILINE)
GENDERS = ("m", "f", "unknown", None)  # None: nobody is known to hold the office


@pytest.fixture
def peace():
    return builders.open_campaign()


def ministry(code):
    return Office.objects.ministries().select_related("country").get(country=code)


def holder(office, *, gender="f", days=10, **changes):
    values = {
        "name": "Ms Jane Doe",
        "source_url": "https://x.example",
        "verified_on": TODAY - timedelta(days),
    }
    return OfficeHolder.objects.create(office=office, gender=gender, **(values | changes))


def composed(campaign, office, *, day=TODAY):
    texts = composing.texts_for(campaign, office)
    form = composing.make_form(campaign, office, texts, today=day)
    return rules.compose(form, PERSON)


@pytest.mark.parametrize("gender", GENDERS)
def test_every_state_gets_a_whole_letter_in_its_first_language_that_we_have(peace, gender):
    offices = Office.objects.open().ministries().select_related("country")
    assert len(offices) > 150
    if gender:
        OfficeHolder.objects.bulk_create(
            OfficeHolder(office=one, name="Ms Jane Doe", gender=gender, verified_on=TODAY) for one in offices
        )
    wrong, languages = [], set()
    for office in offices:
        texts = composing.texts_for(peace, office)
        done = rules.compose(composing.make_form(peace, office, texts, today=TODAY), PERSON)
        languages.add(texts.language)
        first, second, third, *_ = [*done.text.split("\n\n"), "", "", ""]
        if left := LEFT_OVER.search(done.text.replace("-- \n", "")) or LEFT_OVER.search(done.subject):
            wrong.append(f"{office.country_id}: {left!r}")
        if (gender is not None) != first.startswith("Ms Jane Doe\n"):
            wrong.append(f"{office.country_id}: addressed to {first!r}")
        if not re.fullmatch(r"\S.*\S[,:.]", second) or len(third) < 40:
            wrong.append(f"{office.country_id}: salutation {second!r}")
    assert not wrong
    assert languages == {"en", "fr", "es"}


@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_every_ministry_that_reads_a_language_can_be_written_to_in_it(peace, language):
    wrong = []
    for office in Office.objects.open().ministries().select_related("country"):
        if language in office.country.languages:
            texts = composing.texts_in(peace, office, language)
            text = rules.compose(composing.make_form(peace, office, texts, today=TODAY), PERSON).text
            if texts.courtesy or LEFT_OVER.search(text.replace("-- \n", "")):
                wrong.append(office.country_id)
    assert not wrong


@pytest.mark.parametrize(
    ("country", "language", "courtesy"),
    [("FR", "fr", False), ("CL", "es", False), ("IE", "en", False), ("BR", "en", True), ("SM", "en", True)],
)
def test_the_language_is_the_ministrys_else_english_as_a_courtesy(peace, country, language, courtesy):
    texts = composing.texts_for(peace, ministry(country))
    assert (texts.language, texts.courtesy) == (language, courtesy)


def test_a_french_letter_reads_as_if_a_person_had_written_it(peace):
    text = composed(peace, ministry("FR")).text
    assert text.startswith("Ministère de l'Europe et des Affaires étrangères\nFrance\n\n")
    assert "l'appui de la France y serait précieux" in text
    assert "dans l'espoir de voir la France contribuer" in text
    assert "– Annoncer la participation de la France, au plus haut niveau" in text
    assert "Amélie Dupont\nLyon, France\n" in text


def test_salutation_and_closing_follow_the_holders_gender(peace):
    office = ministry("FR")
    found = {}
    for gender in GENDERS:
        OfficeHolder.objects.all().delete()
        if gender:
            holder(office, gender=gender)
        values = composing.office_values(peace, office, "fr", today=TODAY)
        found[gender] = values["salutation"]
        title = values["salutation"].rstrip(",")
        assert title in values["closing"] or gender is None
    assert "Monsieur" in found["m"]
    assert "Madame" in found["f"]
    assert len({found["m"], found["f"], found["unknown"]}) == 3


@pytest.mark.parametrize(
    ("days", "left", "named"), [(0, None, True), (180, None, True), (181, None, False), (10, TODAY, False)]
)
def test_a_name_stands_in_the_letter_only_while_it_is_known_to_be_right(peace, days, left, named):
    office = ministry("FR")
    holder(office, days=days, until=left)
    assert ("Jane Doe" in composed(peace, office).text) == named


def test_the_holders_own_salutation_wins_over_the_states(peace):
    office = ministry("ES")
    jane = holder(office)
    SalutationForm.objects.create(
        language="es", gender="f", holder=jane, salutation="Querida Jane:", closing="Un saludo,"
    )
    assert "\n\nQuerida Jane:\n\n" in composed(peace, office).text


def approved(campaign, **changes):
    values = {"campaign": campaign, "kind": "letter", "language": "fr", "title": "Objet", "state": "approved"}
    return Text.objects.create(**(values | changes))


def test_the_text_for_one_state_wins_over_the_general_one(peace):
    approved(peace, country_id="FR", version=1, body="Pour {{ ministry }} seul.\n\n{{ asks }}")
    assert composed(peace, ministry("FR")).text.startswith("Pour Ministère")
    assert "Pour Ministère" not in composed(peace, ministry("SN")).text


def test_the_newest_approved_version_is_used_and_drafts_are_not(peace):
    approved(peace, version=2, body="Version deux.")
    approved(peace, version=3, body="Version trois.", state="draft")
    assert composed(peace, ministry("FR")).text.startswith("Version deux.")


def test_an_ask_is_not_put_to_the_states_it_is_not_for(peace):
    peace.asks.get(key="fund").not_for.add("FR")
    assert "fund" not in composing.texts_for(peace, ministry("FR")).asks
    assert list(composing.texts_for(peace, ministry("SN")).asks) == [
        "speeches", "fund", "attend", "inclusion", "rules",
    ]  # fmt: skip


def test_without_an_approved_letter_there_is_none():
    bare = builders.campaign("bare", approved=False)
    with pytest.raises(composing.NoText):
        composing.texts_for(bare, ministry("FR"))


def test_a_missing_phrase_is_named_and_nothing_is_left_out_silently(peace):
    CountryPhrases.objects.filter(country="FR", language="fr").update(of="")
    with pytest.raises(composing.NoText, match=r"country\.of in fr"):
        composed(peace, ministry("FR"))


def test_a_letter_that_cannot_be_composed_is_not_signed(peace):
    CountryPhrases.objects.filter(country="FR", language="fr").update(of="")
    with pytest.raises(composing.NoText):
        builders.unconfirmed(peace)


def test_placeholder_syntax_in_own_words_arrives_literally(peace):
    words = "{{ country.name }} {% load x %} {{ reply_address }} {{ settings.SECRET_KEY }}"
    letter = builders.unconfirmed(peace, own_words=words)
    shown = previewing.stored(letter)
    assert f"\n\n{words}\n\n" in shown["text"]
    assert letter.reply_token not in shown["text"].split(words)[0]


def test_what_was_sent_is_shown_as_it_was_whatever_changes_later(peace):
    office = builders.office("FR")
    holder(office, name="Ms Jane Doe", days=1)
    letter = builders.confirmed(peace, asks=("speeches", "attend"))
    outbox.post(letter)
    builders.sent(letter)
    _, before = composing.read_letter(letter, reply_address="r@d.example")

    CountryPhrases.objects.filter(country="FR").update(of="de l'Hexagone", ministry="Ministère nouveau")
    Text.objects.filter(campaign=peace).update(body="Tout autre chose.", title="Autre")
    OfficeHolder.objects.update(name="Mr Somebody Else")
    SalutationForm.objects.update(salutation="Salut,", closing="À plus,")
    _, after = composing.read_letter(letter, reply_address="r@d.example")
    assert after == before
    assert "Jane Doe" in after.text


def test_before_sending_a_letter_follows_the_phrases(peace):
    letter = builders.unconfirmed(peace)
    CountryPhrases.objects.filter(country="FR", language="fr").update(of="de l'Hexagone")
    assert "l'appui de l'Hexagone" in previewing.stored(letter)["text"]


def test_equal_forms_are_kept_once(peace):
    letters = [builders.unconfirmed(peace) for _ in range(2)]
    kept = {composing.keep(composing.form_of(letter, today=TODAY)) for letter in letters}
    assert len(kept) == Form.objects.count() == 1
    form = composing.form_of(letters[0], today=TODAY)
    assert rules.load(Form.objects.get().data) == form


def test_the_preview_is_the_letter_that_is_stored(peace):
    signer = builders.signer(name="Grace Hopper", city="New York", organisation="Navy")
    part = {"asks": ["attend", "speeches"], "own_words": "I care.", "signer": signer}
    office = ministry("FR")
    before = previewing.preview(peace, office, **part)
    letter = signup.sign(peace, office, part["asks"], own_words="I care.", signer=signer)
    after = previewing.stored(letter)
    body = [shown["text"].split("\n-- \n")[0] for shown in (before, after)]
    assert body[0] == body[1]
    assert body[0].index("Annoncer") < body[0].index("Souligner")  # the asks in the person's order


def test_a_reading_copy_is_offered_in_the_senders_language_only_where_it_differs(peace):
    part = {"asks": ["speeches"], "own_words": ""}
    in_english = builders.signer(reading_language="en")
    copy = previewing.reading_copy(peace, ministry("FR"), **part, signer=in_english)
    assert copy["language"] == "en"
    assert "the support of France" in copy["text"]
    assert previewing.reading_copy(peace, ministry("IE"), **part, signer=in_english) is None
