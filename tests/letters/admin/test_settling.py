"""Deliveries in doubt: the page says why, and people who may send decide, by POST, leaving an event."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from letters import lifecycle
from letters.admin.settling import CHOICES
from letters.models import Campaign, Delivery, DeliveryEvent
from letters.models.clock import database_time
from letters.rules.ledger import State
from letters.sending import recovery
from tests import builders

pytestmark = pytest.mark.django_db
LIST = "admin:letters_delivery_changelist"
BECOMES = {"was_sent": "accepted", "was_not_sent": "failed", "send_again": "waiting", "wait": "uncertain"}


@pytest.fixture
def doubtful(peace):
    """A letter whose worker went silent, another that was accepted."""
    lifecycle.launch(peace, by="ana")
    row, sure = (builders.delivery_of(letter) for letter in peace.letters.order_by("pk"))
    row.state, row.reason, row.submitted_at = State.UNCERTAIN, recovery.SILENT, timezone.now()
    sure.state = State.ACCEPTED
    row.save()
    sure.save()
    DeliveryEvent.objects.create(delivery=row, what="uncertain", detail=recovery.SILENT, source="worker")
    return row


def sure():
    return Delivery.objects.get(kind="letter", state=State.ACCEPTED)


def page_of(client, delivery):
    return client.get(reverse("admin:letters_delivery_change", args=[delivery.pk])).content.decode()


def press(client, delivery, name, method="post"):
    here = reverse("admin:letters_delivery_settle", args=[delivery.pk, name])
    return getattr(client, method)(here, follow=True)


def act(client, name, *rows, method="post"):
    data = {"action": name, "_selected_action": [row.pk for row in rows]}
    return getattr(client, method)(reverse(LIST), data, follow=True).content.decode()


def events(delivery):
    return list(delivery.events.filter(what="settled").values_list("detail", "source"))


@pytest.mark.parametrize(("name", "becomes"), BECOMES.items())
def test_an_action_settles_what_is_in_doubt_and_nothing_else(client, doubtful, sign_in, name, becomes):
    other = sure()
    sign_in("view_delivery", "send_campaign")
    page = act(client, name, doubtful, other)
    doubtful.refresh_from_db()
    other.refresh_from_db()
    assert (doubtful.state, other.state) == (becomes, State.ACCEPTED)
    assert events(doubtful) == [(f"{'wait' if name == 'wait' else becomes} by ana", "person")]
    assert events(other) == []
    assert ("1 are shown again in 3 days." if name == "wait" else "1 settled.") in page
    assert "1 were not uncertain and stay." in page


@pytest.mark.parametrize(("name", "becomes"), BECOMES.items())
def test_a_button_on_its_page_does_the_same(client, doubtful, sign_in, name, becomes):
    sign_in("view_delivery", "send_campaign")
    assert str(CHOICES[name].label) in page_of(client, doubtful)
    press(client, doubtful, name)
    doubtful.refresh_from_db()
    assert doubtful.state == becomes
    assert len(events(doubtful)) == 1


def test_a_doubt_put_off_is_shown_again_in_some_days(client, doubtful, sign_in):
    sign_in("view_delivery", "send_campaign")

    def shown(choice):
        return doubtful.recipient in client.get(reverse(LIST), {"doubt": choice}).content.decode()

    assert (shown("now"), shown("later")) == (True, False)
    press(client, doubtful, "wait")
    assert (shown("now"), shown("later")) == (False, True)
    doubtful.refresh_from_db()
    assert timedelta(days=2) < doubtful.due_at - database_time() <= timedelta(days=recovery.WAIT_DAYS)
    assert doubtful.reason == recovery.SILENT
    Delivery.objects.filter(pk=doubtful.pk).update(due_at=timezone.now() - timedelta(minutes=1))
    assert (shown("now"), shown("later")) == (True, False)


@pytest.mark.parametrize("rights", [("view_delivery",), ("view_delivery", "change_delivery")])
@pytest.mark.parametrize("name", BECOMES)
def test_settling_is_for_those_who_may_send(client, doubtful, sign_in, name, rights):
    sign_in(*rights)
    assert press(client, doubtful, name).status_code == 403
    act(client, name, doubtful)
    doubtful.refresh_from_db()
    assert doubtful.state == State.UNCERTAIN
    assert events(doubtful) == []
    page = page_of(client, doubtful)
    assert str(CHOICES[name].meaning).partition("'")[0] in page
    assert "/settle/" not in page


@pytest.mark.parametrize("name", BECOMES)
def test_nothing_is_settled_by_get(client, doubtful, sign_in, name):
    sign_in("view_delivery", "send_campaign")
    assert press(client, doubtful, name, method="get").status_code == 405
    act(client, name, doubtful, method="get")
    page_of(client, doubtful)
    doubtful.refresh_from_db()
    assert doubtful.state == State.UNCERTAIN
    assert events(doubtful) == []


@pytest.mark.parametrize("name", ["explode", "settle", "__class__"])
def test_there_are_no_other_choices(client, doubtful, sign_in, name):
    sign_in("send_campaign")
    assert press(client, doubtful, name).status_code == 404


def test_what_was_settled_meanwhile_stays_as_it_is(client, doubtful, sign_in):
    sign_in("view_delivery", "send_campaign")
    press(client, doubtful, "was_sent")
    page = press(client, doubtful, "send_again").content.decode()
    doubtful.refresh_from_db()
    assert doubtful.state == State.ACCEPTED
    assert "1 were not uncertain and stay." in page
    assert len(events(doubtful)) == 1


@pytest.mark.parametrize("doubt", Campaign.Doubt)
def test_the_page_says_why_it_is_in_doubt_and_what_each_choice_means(admin_client, doubtful, doubt):
    Campaign.objects.update(doubt=doubt)
    page = page_of(admin_client, doubtful)
    assert "Nobody can know from here whether it arrived" in page
    assert page.count(recovery.SILENT) >= 2  # the reason, and the event
    assert doubtful.message_id.strip("<>") in page
    for choice in CHOICES.values():
        assert str(choice.meaning).partition("'")[0] in page
    assert str(doubt.label) in page


def test_a_delivery_without_doubt_has_no_choices_but_the_campaigns_rule(admin_client, doubtful):
    page = page_of(admin_client, sure())
    assert "Nobody can know" not in page
    assert "/settle/" not in page
    assert str(Campaign.Doubt.HOLD.label) in page


def test_a_relays_words_are_shown_as_text(admin_client, doubtful):
    Delivery.objects.filter(pk=doubtful.pk).update(reason="<script>alert(1)</script>")
    page = page_of(admin_client, doubtful)
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_message_without_a_campaign_can_be_in_doubt_too(admin_client, db):
    row = Delivery.objects.create(
        kind="notice", recipient="a@people.example", message_id="<n@x.example>", state=State.UNCERTAIN
    )
    assert "Nobody can know" in page_of(admin_client, row)
    press(admin_client, row, "was_sent")
    row.refresh_from_db()
    assert row.state == State.ACCEPTED
