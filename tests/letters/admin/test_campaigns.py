"""A campaign's sending in the admin: its board, and its switch, by POST and by those who may."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from letters import outbox
from letters.models import Campaign, Delivery, Text
from letters.rules.ledger import Outcome, State
from tests import builders

pytestmark = pytest.mark.django_db


def act(campaign, name):
    return reverse("admin:letters_campaign_act", args=[campaign.pk, name])


def text_of(response):
    return response.content.decode()


def test_asking_what_a_launch_would_do_does_nothing(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign")
    answer = client.get(act(peace, "launch"))
    assert answer.status_code == 200
    assert "2 confirmed letters are frozen" in text_of(answer)
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.DRAFT
    assert not Delivery.objects.filter(kind="letter").exists()


def test_the_button_launches_and_the_board_shows_the_equation(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign", "view_delivery")
    page = text_of(client.post(act(peace, "launch"), follow=True))
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.RUNNING
    assert "The equation balances." in page
    assert "waiting <strong>2</strong>" in page
    link = reverse("admin:letters_delivery_changelist")
    answer = client.get(f"{link}?campaign__id__exact={peace.pk}&kind__exact=letter&state__exact=waiting")
    assert text_of(answer).count("cabinet@mfa.fr.example") == 2
    assert peace.waves.get().launched_by == "ana"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ["ready", "launch", "go_on", "pause", "resume", "finish", "cancel"])
def test_sending_is_a_right_of_its_own(client, peace, sign_in, method, name):
    sign_in("view_campaign", "change_campaign", "add_campaign", "delete_campaign")
    assert getattr(client, method)(act(peace, name)).status_code == 403
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.DRAFT
    page = text_of(client.get(reverse("admin:letters_campaign_change", args=[peace.pk])))
    assert "/act/launch/" not in page


def test_a_refusal_is_told_with_its_reason(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign")
    peace.texts.filter(kind="letter", language="fr").update(state=Text.State.DRAFT)
    assert "letter (fr)" in text_of(client.get(act(peace, "launch")))
    assert "Not approved yet" in text_of(client.post(act(peace, "launch"), follow=True))
    assert "“Pause” is not possible now" in text_of(client.post(act(peace, "pause"), follow=True))


@pytest.mark.parametrize("name", ["explode", "act", "__class__"])
def test_there_are_no_other_acts(client, peace, sign_in, name):
    sign_in("send_campaign")
    assert client.post(act(peace, name)).status_code == 404


def test_pause_resume_and_cancel_by_button(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign")
    for name, becomes in [
        ("ready", "ready"),
        ("launch", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ]:
        assert client.get(act(peace, name)).status_code == 200
        client.post(act(peace, name))
        peace.refresh_from_db()
        assert peace.sending == becomes


def test_a_campaign_is_marked_as_ready_when_its_texts_are(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign")
    peace.texts.filter(kind="letter", language="fr").update(state=Text.State.DRAFT)
    page = text_of(client.get(act(peace, "ready")))
    assert "2 letters are confirmed so far" in page
    assert "letter (fr)" in page
    assert "Not approved yet: letter (fr)" in text_of(client.post(act(peace, "ready"), follow=True))
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.DRAFT


@pytest.mark.parametrize(
    ("sending", "offered"),
    [
        ("draft", {"ready", "launch", "cancel"}),
        ("ready", {"launch", "cancel"}),
        ("running", {"pause", "finish", "cancel"}),
        ("paused", {"resume", "finish", "cancel"}),
        ("finished", set()),
        ("cancelled", set()),
    ],
)
def test_the_board_offers_what_is_possible_now(client, peace, sign_in, sending, offered):
    sign_in("send_campaign", "view_campaign")
    Campaign.objects.filter(pk=peace.pk).update(sending=sending)
    page = text_of(client.get(reverse("admin:letters_campaign_change", args=[peace.pk])))
    assert set(re.findall(r"/act/(\w+)/", page)) == offered


def test_the_pace_is_for_those_who_may_send(client, peace, sign_in):
    here = reverse("admin:letters_campaign_change", args=[peace.pk])
    for rights, editable in [((), False), (("send_campaign",), True)]:
        sign_in("view_campaign", "change_campaign", *rights)
        page = text_of(client.get(here))
        for name in ("send_by_0", "per_office_hour", "doubt", "office_hours"):
            assert (f'name="{name}"' in page) is editable


@pytest.fixture
def large(peace, monkeypatch):
    """The same, where a wave over one letter is a large one."""
    monkeypatch.setattr(outbox, "CANARY_OVER", 1)
    monkeypatch.setattr(outbox, "CANARY_AT_LEAST", 1)
    return peace


def test_a_large_wave_waits_for_a_person_who_saw_what_its_canary_showed(client, large, sign_in):
    sign_in("send_campaign", "view_campaign")
    assert "1 letters go first, spread over the offices" in text_of(client.get(act(large, "launch")))
    page = text_of(client.post(act(large, "launch"), follow=True))
    assert "Wave 1: 1 letters went first, 1 wait for what becomes of them." in page
    assert "/act/go_on/" in page

    first = Delivery.objects.letters().filter(state=State.WAITING)
    builders.force(first, State.ACCEPTED, outcome=Outcome.BOUNCED_HARD, finished_at=timezone.now())
    page = text_of(client.get(act(large, "go_on")))
    assert "1 letters wait for the canary" in page
    assert "So far, of these 1: 1 accepted, 0 failed, 1 bounced, 0 complained of." in page
    assert Delivery.objects.letters().filter(state=State.HELD).count() == 1  # nothing changes on GET

    page = text_of(client.post(act(large, "go_on"), follow=True))
    assert "1 letters went first; the others went on" in page
    assert "by ana" in page
    assert "/act/go_on/" not in page
    assert Delivery.objects.letters().filter(state=State.WAITING).count() == 1
    assert "No letters wait for a canary" in text_of(client.post(act(large, "go_on"), follow=True))


def test_the_board_shows_each_wave_with_its_letters(client, peace, sign_in):
    sign_in("send_campaign", "view_campaign", "view_delivery")
    client.post(act(peace, "launch"))
    builders.confirmed(peace)
    page = text_of(client.get(reverse("admin:letters_campaign_change", args=[peace.pk])))
    assert page.index("Wave 2, letters: 1") < page.index("Wave 1, letters: 2")
    assert "sent as they came" in page
    wave = peace.waves.get(number=1)
    link = f"campaign__id__exact={peace.pk}&amp;kind__exact=letter&amp;wave__id__exact={wave.pk}"
    assert link in page
    listed = client.get(f"{reverse('admin:letters_delivery_changelist')}?{link.replace('&amp;', '&')}")
    assert text_of(listed).count("cabinet@mfa.fr.example") == 2


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("bounces", "bounced or were refused"),
        ("complaints", "were complained of"),
        ("unwritten", "could not be written"),
    ],
)
def test_the_board_shows_why_a_campaign_braked_and_what_to_do(client, peace, sign_in, cause, words):
    sign_in("send_campaign", "view_campaign", "view_delivery")
    client.post(act(peace, "launch"))
    numbers = list(Delivery.objects.letters().values_list("pk", flat=True))
    client.post(act(peace, "pause"))
    peace.brakes.create(cause=cause, looked_at=1000, found=120, deliveries=numbers)
    here = reverse("admin:letters_campaign_change", args=[peace.pk])
    page = text_of(client.get(here))
    assert f"Of 1000 letters in a row, 120 {words}." in page
    assert 'role="alert"' in page
    assert "What to do" in page
    for number in numbers:
        assert reverse("admin:letters_delivery_change", args=[number]) in page
    [link] = re.findall(r'href="([^"]+)">The evidence as a list', page)
    listed = text_of(client.get(link.replace("&amp;", "&")))
    assert listed.count("cabinet@mfa.fr.example") == 2

    client.post(act(peace, "resume"))
    page = text_of(client.get(here))
    assert "Of 1000 letters in a row, 120" in page  # it stays on record
    assert 'role="alert"' not in page
    assert "What to do" not in page
