"""The pages on which a letter is written, confirmed, followed and withdrawn, as a visitor meets them."""

import re
import time
from unittest import mock

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from django.utils import translation

from contacts import consent
from contacts.models import Suppression
from letters import lifecycle, links
from letters.forms import STARTED
from letters.links import Purpose
from letters.models import Campaign, Letter
from letters.rules.ledger import State
from tests import builders

pytestmark = pytest.mark.django_db
LANGUAGES = ("en", "fr", "es")


@pytest.fixture
def peace():
    builders.known_world()
    builders.office("FR")
    return builders.open_campaign()


def url(name, *args, language="en"):
    with translation.override(language):
        return reverse(f"letters:{name}", args=args)


def link(purpose, number, name=None, language="en"):
    return url(name or purpose.name.lower(), links.make(purpose, number), language=language)


def sign(client, campaign, **changes):
    return client.post(url("write", campaign.slug), builders.form_data(**changes))


def text_of(response):
    return response.content.decode()


def rows():
    """How many rows each table has, but for sessions (the address shown on “look in your mailbox”)."""
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values())
        for model in apps.get_models()
        if model._meta.label != "sessions.Session"
    }


# Nothing changes on GET


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_any_page_changes_nothing(client, peace, language, method):
    lifecycle.launch(peace, by="ana")
    mine, waiting = builders.confirmed(peace), builders.unconfirmed(peace)
    pages = [
        f"/{language}/", f"/{language}/peace/", "/healthz", f"/{language}/nowhere/",
        url("write", "peace", language=language), url("check_mail", "peace", language=language),
        url("write", "peace", language=language) + "?country=FR",
        link(Purpose.CONFIRM, waiting.pk, language=language),
        link(Purpose.REFUSE, waiting.pk, language=language),
        link(Purpose.CONFIRM, mine.pk, language=language), link(Purpose.REFUSE, mine.pk, language=language),
        link(Purpose.THANKS, mine.pk, language=language),
        link(Purpose.MY_LETTERS, mine.supporter_id, language=language),
    ]  # fmt: skip
    before = rows()
    answers = [getattr(client, method)(page).status_code for page in pages]
    assert answers == [200, 200, 200, 404, 200, 200, 200, 200, 200, 410, 410, 200, 200]
    assert rows() == before


def test_withdrawing_by_a_link_that_is_only_followed_is_not_possible(client, peace):
    letter = builders.confirmed(peace)
    token = links.make(Purpose.MY_LETTERS, letter.supporter_id)
    assert client.get(url("withdraw", token, letter.pk)).status_code == 405
    assert client.get(url("preview", "peace")).status_code == 405
    letter.refresh_from_db()
    assert letter.state == Letter.State.CONFIRMED


# Writing


@pytest.mark.parametrize("language", LANGUAGES)
def test_signing_leads_to_the_mailbox(client, peace, language):
    answer = client.post(
        url("write", "peace", language=language), builders.form_data(email="ana@people.example"), follow=True
    )
    assert answer.redirect_chain == [(url("check_mail", "peace", language=language), 302)]
    assert "ana@people.example" in text_of(answer)
    assert "peace@replies.demarche.example" in text_of(answer)
    letter = Letter.objects.get()
    assert (letter.reading_language, letter.signer_email) == (language, "ana@people.example")
    assert (
        letter.consent_wording
        in client.get(url("write", "peace", language=language)).context["consent_wording"]
    )


def test_what_a_person_decides_is_kept(client, peace):
    sign(
        client, peace, city=" New  York ", organisation="Navy", lives_in="US", include_email="on",
        show_name="on", news=["un2020"], asks=["attend", "speeches"], own_words="Line\r\nline",
    )  # fmt: skip
    letter = Letter.objects.get()
    assert (letter.city, letter.organisation, letter.lives_in_id) == ("New York", "Navy", "US")
    assert (letter.include_email, letter.show_name) == (True, True)
    assert list(letter.asks) == ["attend", "speeches"]
    assert letter.news == {"un2020": "Yes, UN2020 may send me its news by e-mail."}


def test_without_javascript_the_preview_shows_the_letter_and_keeps_what_was_typed(client, peace):
    typed = builders.form_data(
        action="preview", name="Grace <b>Hopper", own_words="My own <i>words", city="Lyon",
        email="half@", lives_in="US", show_name="on", agree="", asks=["attend"], news=["un2020"],
    )  # fmt: skip
    page = text_of(client.post(url("write", "peace"), typed))
    assert "Annoncer la participation de la France" in page
    assert "My own &lt;i&gt;words" in page
    assert 'value="Grace &lt;b&gt;Hopper"' in page
    assert 'value="half@"' in page
    for selected in ('value="FR" selected', 'value="US" selected'):
        assert selected in page
    for name, value, checked in [
        ("asks", "attend", True), ("asks", "speeches", False), ("news", "un2020", True),
        ("show_name", "on", True), ("agree", "on", False),
    ]:  # fmt: skip
        box = next(
            tag
            for tag in re.findall(r"<input[^>]*>", page)
            if f'name="{name}"' in tag and (name not in {"asks", "news"} or f'value="{value}"' in tag)
        )
        assert (" checked" in box) == checked, box
    assert 'role="alert"' not in page
    assert not Letter.objects.exists()


def test_the_live_preview_shows_letter_and_reading_copy_and_stores_nothing(client, peace):
    before = rows()
    page = text_of(client.post(url("preview", "peace"), {"country": "FR", "asks": "attend", "name": "Grace"}))
    assert "Annoncer la participation de la France" in page
    assert "Announce that France will attend" in page
    assert "Grace" in page
    assert "<html" not in page
    assert rows() == before


def test_errors_are_listed_with_links_and_everything_typed_is_kept(client, peace):
    answer = sign(
        client, peace, email="nobody", name="", asks=[], country="", agree="", city="Paris",
        own_words="Kept <words>", show_name="on",
    )  # fmt: skip
    page = text_of(answer)
    assert answer.status_code == 200
    summary = page[page.index('role="alert"') : page.index("</ul>", page.index('role="alert"'))]
    for field in ("id_country", "id_asks", "id_name", "id_email", "id_agree"):
        assert f'href="#{field}"' in summary
        assert page.count(f'id="{field}"') == 1
        assert f'id="{field}_error"' in page
    assert 'value="nobody"' in page
    assert 'value="Paris"' in page
    assert "Kept &lt;words&gt;" in page
    assert not Letter.objects.exists()


def test_a_machine_that_fills_every_field_sees_the_same_and_nothing_is_stored(client, peace):
    honest = sign(client, peace)
    before = rows()
    machine = sign(client, peace, website="https://spam.example")
    assert (machine.status_code, machine.url) == (honest.status_code, honest.url)
    assert rows() == before


@pytest.mark.parametrize("reason", ["suppressed", "five pending"])
def test_nobody_learns_whether_an_address_is_known(client, peace, reason):
    known = "known@people.example"
    if reason == "suppressed":
        consent.suppress(known, reason=Suppression.Reason.ASKED)
    else:
        for code in ("ES", "SN", "CL", "DE", "AT"):
            builders.unconfirmed(peace, email=known, country=code)
    before = Letter.objects.count()
    answers = [sign(client, peace, email=email) for email in (known, "fresh@people.example")]
    assert [(one.status_code, one.url) for one in answers] == [(302, url("check_mail", "peace"))] * 2
    assert Letter.objects.count() == before + 1
    page = text_of(client.get(url("check_mail", "peace")))
    assert "fresh@people.example" in page


@pytest.mark.parametrize("started", ["now", "", "made up", "form:1abc:forged"])
def test_a_form_sent_back_too_fast_asks_to_press_again_and_then_goes_through(client, peace, started):
    typed = builders.form_data(started=STARTED.sign("form") if started == "now" else started)
    answer = client.post(url("write", "peace"), typed)
    page = text_of(answer)
    assert "That was very quick" in page
    assert not Letter.objects.exists()
    again = re.search(r'name="started" value="([^"]+)"', page)[1]
    with mock.patch("django.core.signing.time.time", return_value=time.time() + 5):
        client.post(url("write", "peace"), typed | {"started": again})
    assert Letter.objects.exists()


@pytest.mark.parametrize("country", ["XX", "fr", "FR\x00", "\x00", "\x00F", "../FR", "💥", ""])
def test_an_unknown_country_is_said_clearly(client, peace, country):
    for answer in (
        sign(client, peace, country=country),
        client.get(url("write", "peace"), {"country": country}),
    ):
        assert answer.status_code == 200
    assert not Letter.objects.exists()
    page = text_of(sign(client, peace, country=country))
    assert 'href="#id_country"' in page
    assert client.post(url("preview", "peace"), {"country": country}).status_code == 200


def test_a_country_that_is_switched_off_cannot_be_chosen(client, peace):
    office = builders.office("FR")
    office.country.enabled = False
    office.country.save()
    assert 'href="#id_country"' in text_of(sign(client, peace))


def test_a_ministry_without_address_is_written_to_all_the_same_and_the_page_says_so(client, peace):
    lifecycle.launch(peace, by="ana")
    page = text_of(client.post(url("write", "peace"), builders.form_data(country="SN", action="preview")))
    assert "no verified address" in page
    sign(client, peace, country="SN")
    letter = Letter.objects.get()
    assert "no verified address" in text_of(client.get(link(Purpose.CONFIRM, letter.pk)))
    client.post(link(Purpose.CONFIRM, letter.pk))
    assert builders.delivery_of(letter).state == State.HELD
    assert "waits for a verified address" in text_of(
        client.get(link(Purpose.MY_LETTERS, Letter.objects.get().supporter_id))
    )


def test_a_closed_campaign_says_so_and_shows_the_way_on(client, peace):
    Campaign.objects.update(signup=Campaign.Signup.CLOSED)
    for answer in (client.get(url("write", "peace")), sign(client, peace)):
        assert answer.status_code == 410
        assert f'href="{peace.get_absolute_url()}"' in text_of(answer)
    assert not Letter.objects.exists()


def test_a_letter_that_is_confirmed_after_the_end_is_told_so(client, peace):
    letter = builders.unconfirmed(peace)
    Campaign.objects.update(sending=Campaign.Sending.CANCELLED)
    answer = client.post(link(Purpose.CONFIRM, letter.pk))
    assert answer.status_code == 410
    letter.refresh_from_db()
    assert letter.state == Letter.State.UNCONFIRMED


def test_a_state_without_a_letter_is_an_error_at_its_field(client):
    builders.known_world()
    row = builders.campaign(approved=False)
    page = text_of(sign(client, row))
    assert "We have no letter for this country yet" in page
    assert 'href="#id_country"' in page


def test_an_own_text_of_ten_megabytes_is_refused_without_harm(client, peace):
    assert sign(client, peace, own_words="x" * 10_000_000).status_code == 400
    page = text_of(sign(client, peace, own_words="x" * 2001))
    assert 'href="#id_own_words"' in page
    assert not Letter.objects.exists()


def test_forgery_from_another_site_is_refused(peace):
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post(url("write", "peace"), builders.form_data()).status_code == 403
    letter = builders.unconfirmed(peace)
    assert stranger.post(link(Purpose.CONFIRM, letter.pk)).status_code == 403
