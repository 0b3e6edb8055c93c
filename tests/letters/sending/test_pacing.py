"""How fast, and in whose turn: offices, domains, relays, campaigns; what is changed counts at once."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from letters import lifecycle
from letters.models import Campaign, Delivery, Destination, OfficePace, RelayPace
from letters.rules.ledger import State
from letters.sending import claiming, refitting, rounds, transport
from tests import builders
from tests.relay import Fault

pytestmark = pytest.mark.django_db
COUNTRIES = ("FR", "BE", "ES", "KE")


@pytest.fixture
def campaign(db) -> Campaign:
    for country in COUNTRIES:
        builders.office(country)
    return running(builders.campaign())


def running(campaign: Campaign) -> Campaign:
    lifecycle.launch(campaign, by="test")
    campaign.refresh_from_db()
    return campaign


def posted(campaign: Campaign, country: str = "FR", count: int = 1) -> list[Delivery]:
    rows = [builders.delivery_of(builders.confirmed(campaign, country=country)) for _ in range(count)]
    Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION).delete()
    return rows


def idle(hours: float = 1.0) -> None:
    """So much time passes for everything that keeps a timetable; limits stay what they are."""
    before = timezone.now() - timedelta(hours=hours)
    OfficePace.objects.update(next_at=before)
    Destination.objects.update(next_at=before)
    RelayPace.objects.update(next_at=before, rest_until=before)


def test_letters_wait_for_the_ministrys_office_hours(campaign, relay, monkeypatch):
    """Half past nine in Nairobi on a Monday: the others are asleep."""
    Campaign.objects.update(office_hours=True)
    for country in COUNTRIES:
        posted(campaign, country)
    early = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    asleep = claiming._working_countries.__wrapped__(early)
    assert {"KE"} == asleep & set(COUNTRIES)
    monkeypatch.setattr(claiming, "_working_countries", lambda minute: asleep)
    assert rounds.send_due(5) == 1
    assert [recipient for recipient, _ in relay.accepted] == ["cabinet@mfa.ke.example"]
    Campaign.objects.update(office_hours=False)
    assert rounds.send_due(5) == 3


def test_a_country_whose_zone_nobody_knows_is_written_to_all_the_same(campaign, relay):
    office = builders.office("FR")
    office.country.capital_tz = "Europe/Atlantis"
    office.country.save()
    claiming._working_countries.cache_clear()
    noon = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert "FR" in claiming._working_countries(noon)
    claiming._working_countries.cache_clear()


def test_a_domain_with_a_limit_gets_no_more_and_the_others_all(campaign, relay):
    Destination.objects.create(domain="mfa.fr.example", per_hour=60)
    posted(campaign, "FR", 3)
    posted(campaign, "ES", 3)
    idle()
    rounds.send_due(5)
    assert Counter(recipient for recipient, _ in relay.accepted) == {
        "cabinet@mfa.es.example": 3,
        "cabinet@mfa.fr.example": 1,
    }
    assert Destination.objects.get().next_at > timezone.now() + timedelta(seconds=50)


def test_a_domain_that_says_later_is_slowed_down_alone_and_forgiven(campaign, relay):
    relay.faults = [Fault("rcpt", "451 4.7.1 too fast", recipient="mfa.fr", times=1)]
    posted(campaign, "FR", 1)
    rounds.send_due(5)
    slowed = Destination.objects.get(domain="mfa.fr.example")
    assert (slowed.gap, slowed.why) == (1.0, "rcpt: 451 4.7.1 too fast")
    posted(campaign, "FR", 2)
    posted(campaign, "ES", 2)
    rounds.send_due(5)
    assert {recipient for recipient, _ in relay.accepted} == {"cabinet@mfa.es.example"}
    idle()
    rounds.send_due(5)
    slowed.refresh_from_db()
    assert (slowed.gap, slowed.why) == (0.0, "")


def test_mail_to_supporters_at_a_slowed_domain_lets_others_pass(campaign, relay):
    later = timezone.now() + timedelta(hours=1)
    Destination.objects.create(domain="slow.example", gap=60.0, next_at=later)
    for number in range(3):
        builders.unconfirmed(campaign, email=f"p{number}@slow.example")
    builders.unconfirmed(campaign, email="quick@people.example")
    rounds.send_due(5)
    assert [recipient for recipient, _ in relay.accepted] == ["quick@people.example"]
    assert Delivery.objects.filter(due_at__gt=later).count() == 3


def test_a_relay_gets_no_more_an_hour_than_it_may_and_a_change_counts_at_once(campaign, relay):
    RelayPace.objects.update_or_create(name="letters", defaults={"per_hour": 60})
    for country in COUNTRIES:
        posted(campaign, country)
    idle()
    assert rounds.send_due(5) == 1
    assert rounds.send_due(5) == 0
    RelayPace.objects.update(per_hour=None)
    assert rounds.send_due(5) == 3


def test_a_relay_that_is_away_rests_for_all_workers_and_is_asked_again(campaign, relay):
    relay.faults = [Fault("connect", "421 4.3.2 not now")]
    for country in COUNTRIES:
        posted(campaign, country)
    rounds.send_due(5)
    pace = RelayPace.objects.get(name="letters")
    assert pace.rest_until > timezone.now() - timedelta(seconds=1)
    assert pace.trouble.startswith("connect: 421")
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {"deferred": 1, "waiting": 3}
    relay.faults = []
    idle()
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    transport.hang_up()  # another worker, which knows of the rest from the table only
    assert rounds.send_due(5) == 4
    assert RelayPace.objects.get(name="letters").trouble == ""


def test_campaigns_that_write_to_the_same_office_take_turns(campaign, relay):
    """One letter an hour for the office, a long queue, and a small campaign that comes later."""
    posted(campaign, "FR", 12)
    small = running(builders.campaign("small"))
    posted(small, "FR", 2)
    Campaign.objects.update(per_office_hour=60)
    gone = []
    for _ in range(6):
        idle()
        rounds.send_due(5)
        gone = list(
            Delivery.objects.filter(state=State.ACCEPTED)
            .order_by("finished_at")
            .values_list("campaign", flat=True)
        )
    assert gone == [campaign.pk, small.pk, campaign.pk, small.pk, campaign.pk, campaign.pk]


def test_no_batch_is_for_one_office_alone(campaign):
    posted(campaign, "FR", 20)
    for country in ("BE", "ES", "KE"):
        posted(campaign, country, 1)
    idle()
    now = timezone.now() + timedelta(seconds=1)
    found = claiming.letters(16, now, claiming.Destinations())
    countries = Counter(Delivery.objects.filter(pk__in=found).values_list("office__country", flat=True))
    assert countries == {"FR": 2, "BE": 1, "ES": 1, "KE": 1}


def test_what_is_waiting_for_an_hour_gives_an_office_one_letter_not_sixty(campaign, relay):
    Campaign.objects.update(per_office_hour=60)
    posted(campaign, "FR", 5)
    idle(hours=9)
    assert rounds.send_due(5) == 1


def test_a_faster_pace_counts_within_half_a_minute_whoever_set_it(campaign, relay):
    """An office, a domain and a relay whose next time was reckoned at one an hour."""
    far = timezone.now() + timedelta(minutes=50)
    posted(campaign, "FR", 1)
    Destination.objects.create(domain="mfa.fr.example", per_hour=1, next_at=far)
    RelayPace.objects.update_or_create(name="letters", defaults={"per_hour": 1, "next_at": far})
    OfficePace.objects.update(next_at=far)
    Campaign.objects.update(per_office_hour=1)
    assert refitting.refit() == 0
    Campaign.objects.update(per_office_hour=3600)
    Destination.objects.update(per_hour=3600)
    RelayPace.objects.update(per_hour=None)
    assert refitting.refit() == 3
    assert rounds.send_due(5) == 1


def test_a_domain_that_was_slowed_down_is_not_let_go_by_that(campaign):
    Destination.objects.create(
        domain="slow.example", gap=60.0, next_at=timezone.now() + timedelta(seconds=60)
    )
    assert refitting.refit() == 0
