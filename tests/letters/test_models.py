"""Texts: a closed language, approved by two people, never changed afterwards."""

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from letters.loading import approve
from letters.models import Campaign, Letter, Text, TextApproval
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def peace():
    return Campaign.objects.create(
        slug="another", reference_prefix="UN75", opens_on="2026-01-01", closes_on="2026-02-01"
    )


@pytest.fixture
def people():
    return [User.objects.create_user(name) for name in ("ana", "bo", "chidi")]


def draft(campaign, **changes):
    values = {"kind": "letter", "language": "fr", "title": "Objet", "body": "{{ salutation }}\n\nMots."}
    return Text(campaign=campaign, **(values | changes))


def saved(campaign, **changes):
    text = draft(campaign, **changes)
    text.save()
    return text


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("{{ settings.SECRET_KEY }}", "line 1, column 1"),
        ("Bonjour\n\nà vous {{ foo }}", "line 3, column 8"),
        ("{% load i18n %}", "line 1, column 1"),
        ("mots\n  {% include 'x' %}", "line 2, column 3"),
        ("{% for x in y %}{% endfor %}", "line 1, column 1"),
        ("{{ country.name.__class__ }}", "line 1, column 1"),
        ("{{ country.name|safe }}", "line 1, column 1"),
        ("{{ country.name", "line 1, column 1"),
        ("{# rien #}", "line 1, column 1"),
        ("Voici {{ asks }} donc", "line 1, column 7"),
        ("Le rôle de {{ country.name }}", "line 1, column 9"),
    ],
)
def test_anything_but_known_placeholders_is_refused_with_its_place(peace, body, where):
    with pytest.raises(ValidationError) as refused:
        draft(peace, body=body).full_clean()
    assert where in refused.value.message_dict["body"][0]


@pytest.mark.parametrize(
    ("kind", "field", "body"),
    [
        ("letter", "title", "Pour {{ reply_address }}"),
        ("letter", "title", "{{ own_words }}"),
        ("ask", "title", "{{ country.name }}"),
        ("ask", "body", "{{ own_words }}"),
        ("footer", "body", "{{ asks }}"),
        ("story", "body", "{{ country.name }}"),
    ],
)
def test_each_kind_of_text_has_its_own_placeholders(peace, kind, field, body):
    key = "fund" if kind == "ask" else ""
    with pytest.raises(ValidationError) as refused:
        draft(peace, kind=kind, key=key, **({"body": "Mots."} | {field: body})).full_clean()
    assert set(refused.value.message_dict) == {field}


@pytest.mark.parametrize(("kind", "key"), [("ask", ""), ("letter", "fund")])
def test_only_an_asks_text_names_an_ask(peace, kind, key):
    with pytest.raises(ValidationError) as refused:
        draft(peace, kind=kind, key=key).full_clean()
    assert "key" in refused.value.message_dict


def test_a_text_is_used_once_two_people_stand_behind_it(peace, people):
    text = saved(peace)
    assert [approve(text, user=people[0]) for _ in range(2)] == [False, False]
    assert approve(text, user=people[1])
    assert approve(text, user=people[1])
    text.refresh_from_db()
    assert text.state == Text.State.APPROVED
    assert TextApproval.objects.filter(text=text).count() == 2


def test_the_author_is_one_of_the_two(peace, people):
    text = saved(peace, author=people[0])
    assert not approve(text, user=people[0])
    assert approve(text, user=people[1])


def test_the_rehearsals_actors_are_people_of_their_own(peace):
    text = saved(peace)
    assert not approve(text, rehearsal="first")
    assert not approve(text, rehearsal="first")
    assert approve(text, rehearsal="second")


@pytest.mark.parametrize("state", [Text.State.APPROVED, Text.State.RETIRED])
def test_what_was_approved_is_never_changed(peace, state):
    text = saved(peace, state=state)
    text.body = "Autre chose."
    for attempt in (text.save, lambda: text.save(update_fields=["body"])):
        with pytest.raises(ValidationError, match="never changed"):
            attempt()
    text.refresh_from_db()
    assert "Mots." in text.body


def test_a_new_version_retires_the_old_one_and_only_that(peace, people):
    old, other = saved(peace, state="approved"), saved(peace, language="es", state="approved")
    of_france = saved(peace, country=builders.office("FR").country, state="approved")
    new = saved(peace, version=2, body="Neuf.")
    for user in people[:2]:
        approve(new, user=user)
    for text in (old, other, of_france, new):
        text.refresh_from_db()
    assert [one.state for one in (old, other, of_france, new)] == [
        "retired",
        "approved",
        "approved",
        "approved",
    ]


def test_a_version_exists_once(peace):
    saved(peace)
    with pytest.raises(IntegrityError), transaction.atomic():
        saved(peace)
    saved(peace, version=2)


@pytest.mark.parametrize("slug", ["admin", "confirm", "my", "static"])
def test_a_campaign_cannot_take_an_address_of_the_site(peace, slug):
    peace.slug = slug
    with pytest.raises(ValidationError) as refused:
        peace.full_clean()
    assert "slug" in refused.value.message_dict


@pytest.mark.parametrize("prefix", ["", "U", "un75", "UN-75", "75UN", "UN75ISTOOLONG"])
def test_a_prefix_of_references_is_capitals_and_digits(peace, prefix):
    peace.reference_prefix = prefix
    with pytest.raises(ValidationError):
        peace.full_clean()


def test_the_database_keeps_a_supporters_letter_to_an_office_single():
    campaign = builders.open_campaign()
    letter = builders.confirmed(campaign)
    letter.pk, letter.reply_token, letter.reference = None, "another", "UN75-FR-XXXX"
    letter._state.adding = True
    with pytest.raises(IntegrityError), transaction.atomic():
        letter.save()
    letter.state = Letter.State.WITHDRAWN
    letter.save()
