"""Every page of the admin: for its staff only, and with as many queries for many rows as for few."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from contacts import consent
from contacts.models import Office, OfficeHolder, Organisation, SalutationForm, Suppression
from letters import lifecycle
from letters.models import Campaign, Destination, Filing, Incoming, Letter, Reading, RelayPace, Text
from tests import builders

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
IDS = [model._meta.label for model in MODELS]


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.fixture
def peace():
    builders.known_world()
    row = builders.open_campaign()
    lifecycle.launch(row, by="ana")
    return row


def more(peace, start, stop):
    """Rows of every kind with a page in the admin, each with what hangs on it."""
    codes = list(Office.objects.open().ministries().values_list("country", flat=True))
    for number in range(start, stop):
        letter = builders.confirmed(peace, country=codes[number], email=f"p{number}@people.example")
        consent.suppress(f"no{number}@people.example", reason=Suppression.Reason.ASKED)
        User.objects.create_user(f"user{number}")
        Group.objects.create(name=f"group{number}")
        organisation = Organisation.objects.create(slug=f"o{number}", name=f"Organisation {number}")
        holder = OfficeHolder.objects.create(
            office=letter.office, name="Jane", source_url="https://x.example", verified_on="2026-01-01"
        )
        SalutationForm.objects.create(
            language="fr", gender="f", holder=holder, salutation="Chère Jane,", closing="–"
        )
        Campaign.objects.create(
            slug=f"c{number}", reference_prefix="UN75", opens_on="2026-01-01", closes_on="2026-02-01"
        ).organisers.add(organisation)
        Text.objects.create(
            campaign=peace,
            kind="letter",
            language="fr",
            title="T",
            body="B",
            version=number + 2,
            country=letter.country,
        )
        mail = Incoming.objects.create(
            raw=b"x",
            sha256=str(number),
            fingerprint=str(number),
            size=1,
            door="pipe",
            kind="human_reply",
            state="filed",
        )
        Reading.objects.create(incoming=mail, version=1, kind="human_reply", fields={"text": "Thank you."})
        Filing.objects.create(incoming=mail, letter=letter, method="token", confidence=99, why="its token")
        Destination.objects.create(domain=f"d{number}.example", gap=4, why="451 later")
        RelayPace.objects.create(name=f"relay{number}", trouble="421 too many")


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_without_signing_in_no_page_opens(client, model):
    for name in ("changelist", "add"):
        answer = client.get(page(model, name))
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_staff_without_rights_see_nothing(client, model):
    client.force_login(User.objects.create_user("guest", is_staff=True))
    assert client.get(page(model, "changelist")).status_code == 403


def test_every_list_and_every_row_opens_and_asks_the_same_for_many_as_for_few(admin_client, peace):
    def queries(url):
        with CaptureQueriesContext(connection) as asked:
            answer = admin_client.get(url)
        assert answer.status_code == 200, url
        return len(asked)

    more(peace, 0, 10)
    lists = {model: page(model, "changelist") for model in MODELS}
    rows = {model: page(model, "change", model._base_manager.order_by("pk").last().pk) for model in MODELS}
    urls = [*lists.values(), *rows.values()]
    for url in urls:  # content types and their like are asked for once
        queries(url)
    few = {url: queries(url) for url in urls}
    more(peace, 10, 60)
    many = {url: queries(url) for url in few}
    assert many == few


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_a_number_that_is_none_is_answered_not_raised(admin_client, model):
    for odd in ("²", "x", "99999999999999999999", "-1", "0"):
        assert admin_client.get(page(model, "change", odd)).status_code in {200, 302}


@pytest.mark.parametrize("words", ["UN75", "ana", "%", "'; drop table", "é", "\x00"])
def test_searching_for_anything_works(admin_client, peace, words):
    builders.confirmed(peace)
    for model in MODELS:
        answer = admin_client.get(page(model, "changelist"), {"q": words.replace("\x00", "")})
        assert answer.status_code == 200


def test_a_letter_is_found_by_reference_and_by_mailbox(admin_client, peace):
    mine, _other = (builders.confirmed(peace, name=name) for name in ("Grace", "Ada"))
    for words in (mine.reference, mine.reply_token, mine.address_key, "Grace"):
        shown = admin_client.get(page(Letter, "changelist"), {"q": words}).content.decode()
        assert mine.reference in shown
        assert _other.reference not in shown


def test_a_letters_page_shows_the_whole_letter_escaped(admin_client, peace):
    letter = builders.confirmed(peace, own_words="<script>alert(1)</script>")
    shown = admin_client.get(page(Letter, "change", letter.pk)).content.decode()
    assert "Le changement climatique" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert(1)" not in shown
