"""A round whose letters go by a provider's API: the same ledger, the same rests, the same obedience."""

from datetime import timedelta

import pytest
from django.utils import timezone

from letters import lifecycle
from letters.models import Campaign, Delivery, RelayPace
from letters.rules.ledger import State
from letters.sending import journal, providers, rounds
from tests import builders
from tests.provider import Answer, Provider

pytestmark = pytest.mark.django_db
TAKEN = {"ErrorCode": 0, "Message": "OK", "MessageID": "p-1", "To": "cabinet@mfa.fr.example"}


@pytest.fixture
def campaign(relay) -> Campaign:
    """A running campaign; supporters' mail still goes by SMTP."""
    builders.office("FR")
    row = builders.campaign()
    lifecycle.launch(row, by="test")
    return row


def posted(campaign: Campaign) -> Delivery:
    delivery = builders.delivery_of(builders.confirmed(campaign))
    Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION).delete()
    return delivery


def test_a_letter_goes_by_the_provider_and_its_number_is_kept(campaign, use):
    delivery = posted(campaign)
    with Provider(Answer(body=[TAKEN])) as provider:
        use("postmark", provider.url)
        assert rounds.send_due(5) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.provider_id, delivery.attempts) == (State.ACCEPTED, "p-1", 1)
    [asked] = provider.asked
    assert delivery.message_id in asked.body
    assert journal.all_files() == []


def test_a_provider_that_names_a_time_is_left_alone_until_then(campaign, use):
    first, second = posted(campaign), posted(campaign)
    with Provider(Answer(status=429, headers={"Retry-After": "600"})) as provider:
        use("mailgun", provider.url, sender_domain="letters.example")
        assert rounds.send_due(5) == 0
        assert rounds.send_due(5) == 0
    assert len(provider.asked) == 1
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {first.pk: State.DEFERRED, second.pk: State.WAITING}
    rest = RelayPace.objects.get(name="letters").rest_until - timezone.now()
    assert timedelta(minutes=9) < rest < timedelta(minutes=11)


def test_an_answer_that_breaks_off_leaves_a_doubt_and_the_journal_nothing(campaign, use):
    delivery = posted(campaign)
    with Provider(Answer(breaks="within")) as provider:
        use("mailgun", provider.url, sender_domain="letters.example")
        rounds.send_due(5)
        RelayPace.objects.update(rest_until=timezone.now() - timedelta(hours=1))
        rounds.send_due(5)
    delivery.refresh_from_db()
    assert (delivery.state, len(provider.asked)) == (State.UNCERTAIN, 1)
    assert journal.all_files() == []


def test_a_pause_is_obeyed_between_two_requests(campaign, use, monkeypatch):
    for _ in range(15):
        posted(campaign)
    submit = providers.submit

    def pausing(alias, jobs, **named):
        yield from submit(alias, jobs, **named)
        Campaign.objects.update(sending=Campaign.Sending.PAUSED)

    monkeypatch.setattr("letters.sending.agency.providers.submit", pausing)
    with Provider(Answer(body={"id": "<p-1@letters.example>", "message": "Queued."})) as provider:
        use("mailgun", provider.url, sender_domain="letters.example")
        sent = rounds.send_due(5)
    assert 0 < sent < 15
    assert len(provider.asked) == sent
    assert Delivery.objects.filter(state=State.WAITING).count() == 15 - sent
