"""The public pages: what they show, in which language, at what cost; and what is said when there is none."""

import re
from datetime import date
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from letters.models import Letter
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def peace():
    return builders.open_campaign()


def text_of(response):
    return response.content.decode()


def queries(client, url):
    client.get(url)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200
    return len(asked)


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("en", "The UN at 75: it starts now"),
        ("fr", "Les 75 ans de l&#x27;ONU se jouent maintenant"),
        ("es", "Los 75 años de la ONU empiezan ahora"),
    ],
)
def test_pages_speak_their_language_and_link_the_others(client, peace, language, title):
    for place in ("", "peace/", "peace/write/"):
        page = text_of(client.get(f"/{language}/{place}"))
        assert f'<html lang="{language}"' in page
        assert title in page
        found = dict(re.findall(r'<link rel="alternate"\s+hreflang="(\w+)"\s+href="([^"]+)"', page))
        assert found == {one: f"http://127.0.0.1:8000/{one}/{place}" for one in ("en", "fr", "es")}


@pytest.mark.parametrize(
    ("wanted", "language"), [("fr-CH, en;q=0.5", "fr"), ("es", "es"), ("sw", "en"), ("", "en")]
)
def test_a_visitor_is_led_to_their_language(client, wanted, language):
    answer = client.get("/", headers={"accept-language": wanted})
    assert (answer.status_code, answer.url) == (302, f"/{language}/")


def test_the_front_page_shows_open_campaigns_first_and_none_without_an_approved_story(client, peace):
    builders.open_campaign("water", opened=False)
    builders.campaign("unready", approved=False)
    page = text_of(client.get("/en/"))
    assert page.index("/en/peace/") < page.index("/en/water/")
    assert "/en/unready/" not in page
    builders.confirmed(peace)
    assert "<span>1 letter so far" in re.sub(r">\s+", ">", text_of(client.get("/en/")))


def test_the_front_page_asks_as_much_for_many_campaigns_as_for_one(client, peace):
    for_one = queries(client, "/en/")
    for number in range(5):
        builders.open_campaign(f"more-{number}")
    assert queries(client, "/en/") == for_one


@pytest.mark.parametrize("page", ["/fr/peace/", "/fr/peace/write/?country=FR"])
def test_a_campaigns_pages_ask_as_much_for_many_letters_as_for_one(client, peace, page):
    builders.confirmed(peace, show_name=True)
    for_one = queries(client, page)
    for code in ("ES", "SN", "CL", "DE", "FR", "FR"):
        builders.confirmed(peace, country=code, show_name=True, lives_in=builders.Country(code="DE"))
    assert queries(client, page) == for_one


def test_a_campaign_shows_its_story_asks_count_and_organisers(client, peace):
    builders.confirmed(peace, name="Shown <b>Grace", city="Lyon", show_name=True)
    builders.confirmed(peace, name="Hidden Ada")
    builders.unconfirmed(peace, name="Unconfirmed Bo", show_name=True)
    page = text_of(client.get("/en/peace/"))
    for words in (
        "Announce attendance",
        "Together First",
        "UN2020@UN2020.org",
        "Shown &lt;b&gt;Grace",
        "Lyon",
    ):
        assert words in page
    for words in ("Hidden Ada", "Unconfirmed Bo", "people.example"):
        assert words not in page
    assert "<strong>2</strong> letters so far" in page


def test_the_model_letter_can_be_copied_without_giving_data(client, peace):
    page = text_of(client.get("/en/peace/"))
    assert "[your name]" in page
    assert "Make the case, in relevant speeches" in page
    assert "{{" not in page


def test_a_closed_campaign_says_so(client, peace):
    peace.signup = "closed"
    peace.save()
    page = text_of(client.get("/en/peace/"))
    assert "This campaign is closed" in page
    assert "This campaign ran in September 2019" not in page  # its last day is still to come
    peace.opens_on, peace.closes_on = date(2019, 9, 1), date(2019, 9, 30)
    peace.save()
    page = text_of(client.get("/en/peace/"))
    assert "This campaign ran in September 2019" in page
    assert reverse("letters:write", args=["peace"]) not in page


def test_an_unapproved_campaigns_page_does_not_fall_over(client):
    builders.known_world()
    builders.campaign("unready", approved=False)
    for place in ("/en/unready/", "/en/unready/write/", "/en/unready/write/?country=FR"):
        assert client.get(place).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_pages_are_for_reading(client, peace, method):
    for place in ("/en/", "/en/peace/", "/healthz"):
        assert getattr(client, method)(place).status_code == 405


@pytest.mark.parametrize(
    "place", ["/en/nowhere/", "/en/nowhere/write/", "/nowhere", "/en/a/b/c/", "/en/%00/"]
)
def test_an_unknown_page_shows_the_way_home(client, place):
    answer = client.get(place, follow=True)
    assert answer.status_code == 404
    assert 'href="/en/"' in text_of(answer)
    assert "nowhere" not in text_of(answer)


@pytest.mark.parametrize(
    ("language", "words"), [("en", "This page does not exist"), ("fr", "page"), ("es", "página")]
)
def test_an_unknown_page_says_so_in_the_visitors_language(client, language, words):
    page = text_of(client.get(f"/{language}/nowhere/"))
    assert f'<html lang="{language}"' in page
    assert words in page


def test_an_error_of_ours_says_so_and_tells_nothing(client, peace):
    client.raise_request_exception = False
    with mock.patch("letters.showing.campaign", side_effect=RuntimeError("secret detail")):
        answer = client.get("/en/peace/")
    assert answer.status_code == 500
    page = text_of(answer)
    assert "This is our fault" in page
    assert "secret detail" not in page
    assert "RuntimeError" not in page


def test_health_is_a_word_and_needs_the_database(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"ok", "text/plain")
    assert answer["Cache-Control"] == "no-store"
    client.raise_request_exception = False
    with mock.patch("campaign.pages.views.connection.cursor", side_effect=OSError):
        assert client.get("/healthz").status_code == 500


def test_strangers_hosts_are_refused(client):
    assert client.get("/en/", headers={"host": "evil.example"}).status_code == 400
    assert not Letter.objects.exists()
