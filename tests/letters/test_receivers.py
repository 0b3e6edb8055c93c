"""Providers' webhooks over HTTP: payloads as they document them, secrets, and what the database does."""

import hashlib
import hmac
import json
from base64 import b64encode
from functools import partial

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.urls import reverse

from letters import tracking
from letters.models import Delivery, DeliveryEvent
from letters.rules.ledger import Outcome, State
from tests import builders
from tests.letters import webhooks
from tests.letters.webhooks import ADDRESS, PAYLOADS

SECRET = "provider:long-enough-for-that"
KEYS = {
    "MAILGUN_WEBHOOK_SIGNING_KEY": webhooks.MAILGUN_KEY,
    "MAILERSEND_SIGNING_SECRET": "mailersend-key",
    "MANDRILL_WEBHOOK_KEY": "mandrill-key",
}
pytestmark = pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid")


@pytest.fixture(autouse=True)
def secret(settings) -> None:
    settings.ANYMAIL = KEYS | {"WEBHOOK_SECRET": SECRET}


@pytest.fixture
def letter(db) -> Delivery:
    """A letter whose answer was lost, so that the provider's number for it is not known."""
    return doubtful()


def doubtful() -> Delivery:
    builders.office("FR")
    delivery = builders.sent(builders.confirmed(builders.open_campaign(sending="running")))
    delivery.state, delivery.recipient, delivery.finished_at = State.UNCERTAIN, ADDRESS, None
    delivery.save()
    return delivery


def basic(secret: str) -> str:
    return "Basic " + b64encode(secret.encode()).decode()


def post(provider: str, payload: object, *, authorization: str | None = basic(SECRET)):
    """Posts as the provider does; `payload` is what it documents."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    headers = {"Authorization": authorization} if authorization else {}
    if provider != "mandrill":
        url = reverse(f"{provider}_tracking_webhook")
        return client.post(url, json.dumps(payload), content_type="application/json", headers=headers)
    events, url = json.dumps(payload), reverse("mandrill_webhook")
    signed = f"http://{SECRET}@127.0.0.1{url}mandrill_events{events}"
    signature = b64encode(hmac.new(b"mandrill-key", signed.encode(), hashlib.sha1).digest()).decode()
    return client.post(
        url,
        {"mandrill_events": events},
        headers=headers | {"X-Mandrill-Signature": signature, "Host": "127.0.0.1"},
    )


def end(delivery: Delivery) -> tuple[str, Outcome]:
    delivery.refresh_from_db()
    return delivery.state, Outcome(delivery.outcome)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_providers_events_settle_a_doubt_and_move_the_outcome(letter, payload):
    name = payload.__name__
    assert post(name, payload("delivered", letter.pk)).status_code == 200
    expected = Outcome.NONE if name == "mandrill" else Outcome.DELIVERED
    assert end(letter) == (State.ACCEPTED, expected)
    assert letter.provider_id
    assert post(name, payload("bounced", letter.pk)).status_code == 200
    assert end(letter)[1] == Outcome.BOUNCED_HARD
    assert post(name, payload("delivered", letter.pk)).status_code == 200
    assert end(letter)[1] == Outcome.BOUNCED_HARD
    assert post(name, payload("complained", letter.pk)).status_code == 200
    assert end(letter)[1] == Outcome.COMPLAINED
    told = [
        event.what for event in letter.events.exclude(source="worker").filter(event_id__startswith="anymail:")
    ]
    assert sorted(told) == sorted(["sent" if name == "mandrill" else "delivered", "bounced", "complained"])


def test_mailersend_is_known_by_its_own_number(letter):
    """https://developers.mailersend.com/api/v1/webhooks.html: it carries no number of ours"""
    Delivery.objects.filter(pk=letter.pk).update(provider_id="62fb66be")
    body = json.dumps({"type": "activity.soft_bounced", "data": {
        "id": "62f1", "type": "soft_bounced", "created_at": "2026-08-16T09:43:47.000000Z",
        "email": {"message": {"id": "62fb66be"}, "recipient": {"email": ADDRESS}, "tags": None},
        "morph": {"object": "recipient_bounce", "reason": "mailbox full"},
    }})  # fmt: skip
    signature = hmac.new(b"mailersend-key", body.encode(), hashlib.sha256).hexdigest()
    send = partial(Client().post, "/anymail/mailersend/tracking/", body, content_type="application/json")
    assert send(headers={"Authorization": basic(SECRET), "Signature": "0" * 64}).status_code == 400
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)
    assert send(headers={"Authorization": basic(SECRET), "Signature": signature}).status_code == 200
    assert end(letter) == (State.ACCEPTED, Outcome.BOUNCED_SOFT)


def test_amazon_tells_of_bounces(letter, settings):
    """https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html"""
    pytest.importorskip("boto3")
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [{"emailAddress": ADDRESS}],
    }
    headers = [{"name": "X-Metadata", "value": json.dumps({"delivery": str(letter.pk)})}]
    mail = {"messageId": "00137860315fd869", "destination": [ADDRESS], "headers": headers}
    message = json.dumps({"eventType": "Bounce", "bounce": bounce, "mail": mail})
    payload = {
        "Type": "Notification",
        "MessageId": "19ba9823",
        "Timestamp": "2026-03-28T18:45:00Z",
        "Message": message,
    }
    answer = Client().post(
        "/anymail/amazon_ses/tracking/", json.dumps(payload), content_type="text/plain; charset=UTF-8",
        headers={"Authorization": basic(SECRET), "x-amz-sns-message-type": "Notification",
                 "x-amz-sns-message-id": "19ba9823"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert end(letter) == (State.ACCEPTED, Outcome.BOUNCED_HARD)


# Strangers


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(
    "authorization", [None, basic("provider:wrong"), basic(SECRET)[:-4], "Bearer x", "Basic %%%", basic(":")]
)
def test_a_stranger_is_turned_away_and_nothing_changes(letter, payload, authorization):
    answer = post(payload.__name__, payload("bounced", letter.pk), authorization=authorization)
    assert answer.status_code == 401
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)
    assert not DeliveryEvent.objects.filter(event_id__startswith="anymail:").exists()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_without_a_secret_there_is_no_door(letter, settings, payload):
    settings.ANYMAIL = KEYS
    for authorization in (None, basic(SECRET), basic(":"), basic("")):
        answer = post(payload.__name__, payload("bounced", letter.pk), authorization=authorization)
        assert answer.status_code == 404
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)


def test_a_forged_signature_is_refused_even_with_the_secret(letter):
    forged = webhooks.mailgun("bounced", letter.pk)
    forged["signature"]["signature"] = "0" * 64
    assert post("mailgun", forged).status_code == 400
    stolen = webhooks.mandrill("bounced", letter.pk)
    client = Client(raise_request_exception=False)
    data, headers = {"mandrill_events": json.dumps(stolen)}, {"Authorization": basic(SECRET)}
    assert client.post("/anymail/mandrill/", data, headers=headers).status_code == 400
    wrong = headers | {"X-Mandrill-Signature": "x"}
    assert client.post("/anymail/mandrill/", data, headers=wrong).status_code == 400
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_only_a_post_tells_anything(db, method):
    headers = {"Authorization": basic(SECRET)}
    assert getattr(Client(), method)("/anymail/postmark/tracking/", headers=headers).status_code == 405


def test_an_unknown_message_is_nobodys_business_and_not_told_again(letter):
    assert post("postmark", webhooks.postmark("bounced", letter.pk + 1000)).status_code == 200
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)


@pytest.mark.parametrize("name", ["postmark", "sparkpost", "mailgun", "brevo", "sendgrid", "mailjet"])
def test_inbound_mail_has_no_door_here(db, name):
    answer = Client().post(f"/anymail/{name}/inbound/", {}, headers={"Authorization": basic(SECRET)})
    assert answer.status_code == 404


def test_mail_at_mandrills_one_address_is_not_taken_and_lost(db):
    mail = [
        {"event": "inbound", "ts": 1461264369, "msg": {"raw_msg": "From: a@b\n\nx", "email": "x@y.example"}}
    ]
    assert post("mandrill", mail).status_code == 500


# The database


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed"), RuntimeError("bug")])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_when_we_cannot_write_it_down_the_provider_is_asked_to_come_again(
    letter, monkeypatch, payload, error
):
    def raises(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(tracking.DeliveryEvent.objects, "get_or_create", raises)
        assert post(payload.__name__, payload("bounced", letter.pk)).status_code == 500
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)
    assert post(payload.__name__, payload("bounced", letter.pk)).status_code == 200
    assert end(letter) == (State.ACCEPTED, Outcome.BOUNCED_HARD)
    assert letter.events.filter(what="bounced").count() == 1


def test_when_the_database_is_away_altogether_too(letter):
    def away(execute, sql, params, many, context):
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(away):
        assert post("postmark", webhooks.postmark("bounced", letter.pk)).status_code == 500
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)


def test_an_event_that_cannot_be_finished_leaves_no_half(letter, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(tracking, "_spare", lambda *_: 1 / 0)
        broken.setattr(tracking, "TO_SUPPORTERS", {Delivery.Kind.LETTER})
        assert post("postmark", webhooks.postmark("complained", letter.pk)).status_code == 500
    assert end(letter) == (State.UNCERTAIN, Outcome.NONE)
    assert not letter.events.filter(what="complained").exists()


def test_a_batch_of_which_one_fails_is_told_again_and_counts_once(letter, monkeypatch):
    batch = webhooks.sendgrid("delivered", letter.pk) + webhooks.sendgrid("bounced", letter.pk)
    told, calls = tracking.told, []

    def second_fails(provider, event):
        calls.append(event)
        if len(calls) == 2:
            raise OperationalError("gone")
        return told(provider, event)

    monkeypatch.setattr("letters.receivers.told", second_fails)
    assert [post("sendgrid", batch).status_code for _ in range(3)] == [500, 200, 200]
    assert end(letter)[1] == Outcome.BOUNCED_HARD
    assert letter.events.filter(event_id__startswith="anymail:").count() == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_posts_at_the_same_moment():
    delivery = doubtful()
    calls = [
        partial(post, "postmark", webhooks.postmark(what, delivery.pk))
        for _ in range(17)
        for what in ("delivered", "bounced", "complained")
    ][:50]

    def settled(call):
        while (answer := call()).status_code == 500:  # as the provider does
            pass
        return answer.status_code

    assert builders.at_once(*(partial(settled, call) for call in calls)) == [200] * 50
    assert end(delivery) == (State.ACCEPTED, Outcome.COMPLAINED)
    assert delivery.events.filter(event_id__startswith="anymail:").count() == 3
