"""What providers tell of a delivery: once, whatever the order and however often; nothing moves back."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle, islice

import pytest
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts import consent
from contacts.models import Suppression
from letters import tracking
from letters.models import Delivery, DeliveryEvent
from letters.rules.ledger import FINAL, Outcome, State
from tests import builders

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def letter(db) -> Delivery:
    """A letter that the provider took under a number of its own."""
    return sent()


def sent(state: State = State.ACCEPTED, **changes: object) -> Delivery:
    builders.office("FR")
    delivery = builders.sent(builders.confirmed(builders.open_campaign(sending="running")))
    values = {"state": state, "provider_id": "abc", "recipient": "cabinet@mfa.fr.example", "attempts": 1}
    for name, value in (values | changes).items():
        setattr(delivery, name, value)
    delivery.save()
    return delivery


def event(what: str, delivery: Delivery | None = None, **changes: object) -> AnymailTrackingEvent:
    values = {
        "event_type": what,
        "event_id": f"event-{what}",
        "timestamp": NOW,
        "message_id": "abc",
        "recipient": "cabinet@mfa.fr.example",
        "metadata": {"delivery": str(delivery.pk)} if delivery else {},
        "esp_event": {},
    }
    return AnymailTrackingEvent(**(values | changes))


def told(what: str, delivery: Delivery | None = None, provider: str = "Mailgun", **changes: object) -> bool:
    return tracking.told(provider, event(what, delivery, **changes))


def end(delivery: Delivery) -> tuple[str, Outcome]:
    delivery.refresh_from_db()
    return delivery.state, Outcome(delivery.outcome)


# What events do


@pytest.mark.parametrize(
    ("what", "reason", "outcome"),
    [
        (EventType.QUEUED, None, Outcome.NONE),
        (EventType.SENT, None, Outcome.NONE),
        (EventType.DEFERRED, None, Outcome.NONE),
        (EventType.UNSUBSCRIBED, None, Outcome.NONE),
        (EventType.DELIVERED, None, Outcome.DELIVERED),
        (EventType.AUTORESPONDED, None, Outcome.ACKNOWLEDGED),
        (EventType.BOUNCED, RejectReason.BOUNCED, Outcome.BOUNCED_HARD),
        (EventType.BOUNCED, RejectReason.INVALID, Outcome.BOUNCED_HARD),
        (EventType.BOUNCED, RejectReason.BLOCKED, Outcome.BOUNCED_SOFT),
        (EventType.BOUNCED, RejectReason.SPAM, Outcome.BOUNCED_SOFT),
        (EventType.BOUNCED, None, Outcome.BOUNCED_SOFT),
        (EventType.REJECTED, RejectReason.BLOCKED, Outcome.BOUNCED_SOFT),
        (EventType.REJECTED, RejectReason.BOUNCED, Outcome.BOUNCED_HARD),
        (EventType.FAILED, None, Outcome.BOUNCED_SOFT),
        (EventType.COMPLAINED, RejectReason.SPAM, Outcome.COMPLAINED),
    ],
)
def test_each_event_has_one_meaning(letter, what, reason, outcome):
    assert told(what, letter, reject_reason=reason, description="said\r\nso")
    assert end(letter) == (State.ACCEPTED, outcome)
    [kept] = letter.events.filter(source="Mailgun")
    assert kept.what == what
    assert kept.detail == "; ".join(filter(None, [reason, "said so"]))


@pytest.mark.parametrize(
    "what", [EventType.OPENED, EventType.CLICKED, EventType.SUBSCRIBED, EventType.UNKNOWN, EventType.INBOUND]
)
def test_nobody_is_watched_while_reading(letter, what):
    assert not told(what, letter)
    assert not DeliveryEvent.objects.filter(source="Mailgun").exists()


@pytest.mark.parametrize(
    ("provider", "esp_event", "hard"),
    [
        ("Postmark", {"Type": "HardBounce"}, True),
        ("Postmark", {"Type": "SoftBounce"}, False),
        ("Brevo", {"event": "hard_bounce"}, True),
        ("Brevo", {"event": "soft_bounce"}, False),
        ("Mandrill", {"event": "hard_bounce"}, True),
        ("Mandrill", {"event": "soft_bounce"}, False),
        ("MailerSend", {"data": {"type": "soft_bounced"}}, False),
        ("MailerSend", {"data": {"type": "hard_bounced"}}, True),
        ("Mailjet", {"hard_bounce": True}, True),
        ("Mailjet", {"hard_bounce": False}, False),
        ("SendGrid", {"type": "bounce"}, True),
        ("SendGrid", {"type": "blocked"}, False),
        ("Amazon SES", {"bounce": {"bounceType": "Transient"}}, False),
        ("Amazon SES", {"bounce": {"bounceType": "Permanent"}}, True),
        ("Resend", {"data": {"bounce": {"type": "Permanent"}}}, True),
        ("Resend", {"data": {"bounce": {"type": "Transient"}}}, False),
        ("SparkPost", {"msys": {"message_event": {"bounce_class": "10"}}}, True),
        ("SparkPost", {"msys": {"message_event": {"bounce_class": "22"}}}, False),
        ("SparkPost", {"msys": {}}, True),
        ("Mailgun", None, True),
    ],
)
def test_a_bounce_for_now_is_never_taken_for_one_for_good(letter, provider, esp_event, hard):
    told(EventType.BOUNCED, letter, provider, esp_event=esp_event, reject_reason=RejectReason.BOUNCED)
    assert end(letter)[1] == (Outcome.BOUNCED_HARD if hard else Outcome.BOUNCED_SOFT)


@pytest.mark.parametrize(
    ("response", "hard"),
    [
        ("550 5.1.1 no such user", True),
        ("552 5.2.2 mailbox full", False),
        ("452 4.2.2 mailbox full", False),
        ("550 no such user", True),
        ("blocked at 192.4.1.1 (5.7.1)", True),
        ("blocked: 4.5.6.7", True),
    ],
)
def test_where_a_provider_says_nothing_the_status_counts(letter, response, hard):
    told(EventType.BOUNCED, letter, mta_response=response, reject_reason=RejectReason.BOUNCED)
    assert end(letter)[1] == (Outcome.BOUNCED_HARD if hard else Outcome.BOUNCED_SOFT)


# Any order, any number of times, at the same moment


STORY = [
    event(EventType.QUEUED),
    event(EventType.DEFERRED),
    event(EventType.DELIVERED),
    event(EventType.BOUNCED, reject_reason=RejectReason.BOUNCED),
    event(EventType.COMPLAINED),
]


def reset(delivery: Delivery, **values: object) -> None:
    delivery.events.all().delete()
    for name, value in ({"outcome": Outcome.NONE, "provider_id": "abc"} | values).items():
        setattr(delivery, name, value)
    delivery.save()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations([*range(len(STORY))] * 5),
    untold=st.sampled_from([{0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {0, 1, 2, 3, 4}]),
    state=st.sampled_from([State.ACCEPTED, State.UNCERTAIN, State.DEFERRED, State.WAITING]),
    number=st.sampled_from(["abc", ""]),
)
def test_events_five_times_and_shuffled_end_as_once_and_in_order(letter, order, untold, state, number):
    reset(letter, state=state, provider_id=number)
    for index in order:
        if index in untold:
            one = STORY[index]
            one.metadata = {"delivery": str(letter.pk)}
            tracking.told("Mailgun", one)
    expected = [Outcome.NONE, Outcome.NONE, Outcome.DELIVERED, Outcome.BOUNCED_HARD, Outcome.COMPLAINED]
    assert end(letter) == (State.ACCEPTED, expected[max(untold)])
    assert letter.events.count() == len(untold)
    assert letter.provider_id == "abc"


@pytest.mark.django_db(transaction=True)
def test_fifty_at_the_same_moment_end_as_one_after_the_other():
    delivery = sent(State.UNCERTAIN, provider_id="")
    mixed = [event(one.event_type, delivery, reject_reason=one.reject_reason) for one in STORY[1:]]
    calls = [partial(tracking.told, "Mailgun", one) for one in islice(cycle(mixed), 50)]
    random.Random(7).shuffle(calls)
    assert builders.at_once(*calls) == [True] * 50
    assert end(delivery) == (State.ACCEPTED, Outcome.COMPLAINED)
    assert delivery.events.filter(source="Mailgun").count() == len(mixed)


def test_what_has_no_number_of_its_own_is_known_by_what_it_says(letter):
    for seconds in (0, 0, 1):
        told(EventType.DEFERRED, letter, event_id=None, timestamp=NOW + timedelta(seconds=seconds))
    assert letter.events.filter(what="deferred").count() == 2


def test_the_same_number_from_two_providers_is_two_events(letter):
    for provider in ("Postmark", "Brevo", "Postmark"):
        told(EventType.DEFERRED, letter, provider)
    assert letter.events.filter(what="deferred").count() == 2


def test_a_late_delivery_clears_no_bounce_and_nothing_clears_a_complaint(letter):
    told(EventType.BOUNCED, letter, reject_reason=RejectReason.BOUNCED)
    told(EventType.DELIVERED, letter)
    assert end(letter)[1] == Outcome.BOUNCED_HARD
    told(EventType.COMPLAINED, letter)
    told(EventType.BOUNCED, letter, event_id="another", reject_reason=RejectReason.BOUNCED)
    assert end(letter)[1] == Outcome.COMPLAINED


# States


@pytest.mark.parametrize("what", [EventType.QUEUED, EventType.DELIVERED, EventType.REJECTED])
@pytest.mark.parametrize("state", [State.UNCERTAIN, State.DEFERRED, State.WAITING])
def test_what_the_provider_has_is_not_sent_again(letter, what, state):
    reset(letter, state=state)
    told(what, letter)
    assert end(letter)[0] == State.ACCEPTED
    assert letter.reason == f"settled: {what}, from Mailgun"
    assert letter.finished_at is not None


def test_while_a_letter_is_being_submitted_only_its_outcome_moves(letter):
    reset(letter, state=State.SUBMITTING, provider_id="")
    told(EventType.DELIVERED, letter)
    assert end(letter) == (State.SUBMITTING, Outcome.DELIVERED)
    assert letter.provider_id == "abc"


@pytest.mark.parametrize("state", sorted(FINAL - {State.ACCEPTED}))
def test_a_final_state_stays_but_what_was_told_is_kept(letter, state):
    reset(letter, state=state)
    told(EventType.DELIVERED, letter)
    assert end(letter) == (state, Outcome.NONE)
    assert letter.events.filter(what="delivered").exists()


def test_what_was_never_tried_cannot_have_left(letter):
    reset(letter, state=State.WAITING, attempts=0)
    told(EventType.DELIVERED, letter)
    assert end(letter) == (State.WAITING, Outcome.NONE)


# Whose event it is


def test_the_message_id_or_the_providers_number_is_enough(letter):
    assert told(EventType.DELIVERED)
    assert end(letter)[1] == Outcome.DELIVERED
    reset(letter, provider_id="")
    assert told(EventType.DELIVERED, message_id=letter.message_id)
    assert end(letter)[1] == Outcome.DELIVERED


def test_our_number_is_enough_where_the_providers_was_lost(letter):
    reset(letter, state=State.UNCERTAIN, provider_id="")
    assert told(EventType.DELIVERED, letter, recipient="Cabinet@MFA.fr.example")
    assert end(letter) == (State.ACCEPTED, Outcome.DELIVERED)
    assert letter.provider_id == "abc"


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "other"},
        {"message_id": "other", "metadata": {}},
        {"message_id": None, "metadata": {}},
        {"message_id": "abc", "metadata": {"delivery": "999999"}},
        {"message_id": "other", "metadata": {"delivery": "9" * 30}},
        {"message_id": "other", "metadata": {"delivery": "-1"}},
        {"message_id": "other", "metadata": ["delivery"]},
        {"message_id": "other", "metadata": None},
    ],
)
def test_what_disagrees_or_is_unknown_changes_nothing(letter, changes, caplog):
    before = DeliveryEvent.objects.count()
    assert not told(EventType.BOUNCED, letter, **changes)
    assert end(letter) == (State.ACCEPTED, Outcome.NONE)
    assert DeliveryEvent.objects.count() == before


@pytest.mark.parametrize("recipient", ["somebody@else.example", "", None])
def test_our_number_alone_needs_the_same_recipient(letter, recipient):
    reset(letter, provider_id="")
    assert not told(EventType.BOUNCED, letter, recipient=recipient)
    assert end(letter)[1] == Outcome.NONE


def test_a_number_that_two_deliveries_share_is_settled_by_ours(letter):
    other = Delivery.objects.exclude(pk=letter.pk).first()
    Delivery.objects.filter(pk=other.pk).update(provider_id="abc")
    assert not told(EventType.DELIVERED)
    assert told(EventType.DELIVERED, letter)
    assert end(letter)[1] == Outcome.DELIVERED


def test_the_log_names_nobody(db, caplog):
    caplog.set_level("INFO")
    told(EventType.BOUNCED, message_id="other", recipient="amelie@people.example")
    assert "a…@people.example" in caplog.text
    assert "amelie" not in caplog.text


# Suppression


def confirmation(letter: Delivery) -> Delivery:
    delivery = Delivery.objects.get(letter=letter.letter, kind=Delivery.Kind.CONFIRMATION)
    delivery.state, delivery.provider_id, delivery.recipient = State.ACCEPTED, "conf", "amelie@people.example"
    delivery.save()
    return delivery


def test_a_supporter_who_complains_is_written_to_no_more(letter):
    mail = confirmation(letter)
    for _ in range(2):
        told(EventType.COMPLAINED, mail, message_id="conf", recipient="amelie@people.example")
    assert end(mail)[1] == Outcome.COMPLAINED
    row = Suppression.objects.get()
    assert (row.scope, row.reason) == ("all", "complaint")
    assert consent.suppressed(["amelie@people.example"]) == {"amelie@people.example"}


def test_a_supporter_who_unsubscribes_gets_no_news_but_may_sign_again(letter):
    mail = confirmation(letter)
    told(EventType.UNSUBSCRIBED, mail, message_id="conf", recipient="amelie@people.example")
    assert Suppression.objects.get().scope == "news"
    assert not consent.suppressed(["amelie@people.example"])


def test_a_suppression_that_was_lifted_stays_lifted_when_old_events_come_again(letter):
    mail = confirmation(letter)
    told(EventType.COMPLAINED, mail, message_id="conf")
    Suppression.objects.all().delete()
    told(EventType.COMPLAINED, mail, message_id="conf")
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("what", [EventType.COMPLAINED, EventType.UNSUBSCRIBED, EventType.BOUNCED])
def test_no_webhook_suppresses_a_ministry(letter, what):
    told(what, letter, reject_reason=RejectReason.BOUNCED)
    assert not Suppression.objects.exists()
