"""What the doctor says of the ledger: what is late and what only waits its turn, doubts, brakes, journals."""

import fcntl
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from campaign.checkup import campaigns, deliveries, disk, findings, relays
from campaign.checkup.findings import Severity, lasting
from letters import lifecycle, outbox
from letters.models import Brake, Campaign, Delivery, Destination, OfficePace, RelayPace, Wave
from letters.models.delivery import DeliveryEvent
from letters.rules.ledger import State
from letters.sending import journal, recovery, rewind
from tests import builders

pytestmark = pytest.mark.django_db
OK, INFO, WARNING, ERROR = Severity
MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def peace():
    """A running campaign with a letter to France, and its confirmation out of the way."""
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    lifecycle.launch(row, by="test")
    builders.confirmed(row)
    Delivery.objects.filter(kind="confirmation").delete()
    return row


@pytest.fixture
def letter(peace):
    return Delivery.objects.get(kind="letter")


def ago(**much):
    return timezone.now() - timedelta(**much)


def change(delivery, **values):
    for name, value in values.items():
        setattr(delivery, name, value)
    delivery.save()


def found(check):
    """[(severity, what)], worst first."""
    return sorted(((one.severity, one.what) for one in check()), reverse=True)


def severity(check):
    return found(check)[0][0]


def due_since(minutes):
    Delivery.objects.update(due_at=ago(minutes=minutes))
    OfficePace.objects.update(next_at=ago(minutes=minutes))


def mail(minutes, kind="confirmation"):
    lane = Delivery.LANES[Delivery.Kind(kind)]
    return Delivery.objects.create(
        kind=kind,
        lane=lane,
        recipient="a@people.example",
        message_id=f"<{kind}@x>",
        due_at=ago(minutes=minutes),
    )


# Late


@pytest.mark.parametrize(
    ("minutes", "how"), [(-5, OK), (0, OK), (4, OK), (6, WARNING), (59, WARNING), (61, ERROR), (6000, ERROR)]
)
def test_mail_to_supporters_that_has_been_due_for_too_long(minutes, how):
    mail(minutes)
    mail(0, kind="notice")
    assert severity(deliveries.mails) == how


@pytest.mark.parametrize("state", sorted(set(State) - {State.WAITING, State.DEFERRED}))
def test_only_what_is_due_can_be_late(state):
    change(mail(100), state=state)
    assert found(deliveries.mails) == [(OK, "none is due")]


@pytest.mark.parametrize(("minutes", "how"), [(0, OK), (4, OK), (6, WARNING), (61, ERROR)])
def test_letters_that_could_have_gone(letter, minutes, how):
    due_since(minutes)
    assert severity(deliveries.letters) == how
    assert how == OK or "(FR)" in found(deliveries.letters)[0][1]


def test_an_office_whose_pace_says_later_is_not_late(letter):
    due_since(600)
    OfficePace.objects.update(next_at=timezone.now() + timedelta(minutes=2))
    assert severity(deliveries.letters) == OK


def test_lateness_begins_when_the_letter_is_due_and_the_office_ready(letter):
    due_since(600)
    OfficePace.objects.update(next_at=ago(minutes=10))
    assert "for up to 10 min" in found(deliveries.letters)[0][1]


@pytest.mark.parametrize("sending", sorted(set(Campaign.Sending) - {Campaign.Sending.RUNNING}))
def test_letters_of_campaigns_that_do_not_run_are_not_late(letter, sending):
    due_since(600)
    Campaign.objects.update(sending=sending)
    assert severity(deliveries.letters) == OK


@pytest.mark.parametrize(
    ("now", "office_hours", "how"),
    [
        ("2026-11-23 07:03", True, OK),  # Monday, 8:03 in Paris: open for three minutes
        ("2026-11-23 07:30", True, WARNING),
        ("2026-11-23 10:30", True, ERROR),
        ("2026-11-23 18:30", True, OK),
        ("2026-11-22 10:30", True, OK),  # Sunday
        ("2026-11-22 10:30", False, ERROR),
    ],
)
def test_an_office_that_is_closed_is_not_late(letter, monkeypatch, now, office_hours, how):
    then = datetime.fromisoformat(now).replace(tzinfo=UTC)
    monkeypatch.setattr(deliveries, "database_time", lambda: then)
    Campaign.objects.update(office_hours=office_hours)
    Delivery.objects.update(due_at=then - timedelta(days=3))
    OfficePace.objects.update(next_at=then - timedelta(days=3))
    assert severity(deliveries.letters) == how


@pytest.mark.parametrize(
    ("zone", "weekend", "opened"),
    [
        ("Europe/Paris", "sat sun", "2026-11-23 07:00"),
        ("Asia/Kathmandu", "sat", "2026-11-23 02:15"),
        ("Pacific/Auckland", "sat sun", None),
        ("Africa/Cairo", "mon", None),
        ("Not/AZone", "sat sun", "2026-11-23 08:00"),
        ("../etc/passwd", "sat sun", "2026-11-23 08:00"),
    ],
)
def test_when_a_ministry_opened(zone, weekend, opened):
    expected = datetime.fromisoformat(opened).replace(tzinfo=UTC) if opened else None
    assert deliveries.opened_at(MONDAY_NOON, zone=zone, weekend=weekend) == expected


def test_what_a_relay_may_not_be_given_yet_is_slow_by_intent(letter):
    due_since(600)
    mail(600)
    for name in ("letters", "supporters"):
        RelayPace.objects.create(name=name, per_hour=100, next_at=timezone.now() + timedelta(seconds=36))
    for check in (deliveries.letters, deliveries.mails):
        assert severity(check) == INFO
        assert "100 an hour" in found(check)[0][1]
    RelayPace.objects.update(next_at=ago(minutes=10))  # it could take more, and gets none
    assert severity(deliveries.letters) == severity(deliveries.mails) == ERROR


# Doubts, holds, leases


def test_doubts_are_counted_with_the_oldest_and_where_to_settle_them(letter):
    change(letter, state=State.UNCERTAIN, submitted_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    change(mail(1), state=State.UNCERTAIN)
    [one] = deliveries.doubts()
    assert one.severity == WARNING
    assert one.what == "deliveries in doubt: 2, the oldest of 2026-01-02 03:04:05 UTC"
    assert one.mend.endswith("/admin/letters/delivery/?doubt=now")


def test_a_doubt_that_a_person_put_off_is_only_mentioned(letter):
    change(letter, state=State.UNCERTAIN)
    recovery.settle(letter, None, by="ana")
    assert found(deliveries.doubts) == [(INFO, "doubts put off by a person: 1")]
    assert DeliveryEvent.objects.filter(what="settled").count() == 1


def test_held_letters_are_counted_by_what_they_wait_for(letter):
    change(letter, state=State.HELD, reason=outbox.NO_ADDRESS)
    change(mail(1), state=State.HELD, reason="a\u2028reason")
    assert found(deliveries.held) == [
        (INFO, "held for “no verified address”: 1"),
        (INFO, "held for “a reason”: 1"),
    ]
    assert "import_offices" in next(one.mend for one in deliveries.held() if "address" in one.what)


def test_no_more_than_so_many_are_counted(letter, monkeypatch):
    monkeypatch.setattr(deliveries, "CAP", 1)
    monkeypatch.setattr(findings, "CAP", 1)
    change(letter, state=State.HELD, reason="x")
    assert found(deliveries.held) == [(INFO, "held for “x”: at least 1")]


@pytest.mark.parametrize(("seconds", "how"), [(-30, OK), (30, OK), (90, ERROR)])
def test_leases_that_ran_out_and_nobody_looked_after(letter, seconds, how):
    change(letter, state=State.SUBMITTING, lease_until=ago(seconds=seconds))
    assert severity(deliveries.leases) == how


# Campaigns


def test_a_campaign_with_letters_that_wait_moves(letter):
    assert found(campaigns.moving) == [(OK, "peace moves")]


@pytest.mark.parametrize("state", [State.HELD, State.UNCERTAIN])
def test_a_campaign_all_of_whose_open_letters_wait_for_people_does_not_move(letter, state):
    change(letter, state=state)
    assert severity(campaigns.moving) == WARNING


def test_a_campaign_without_open_letters_is_only_mentioned(letter):
    change(letter, state=State.ACCEPTED, finished_at=timezone.now())
    assert found(campaigns.moving) == [(INFO, "peace runs, and none of its letters is open")]


@pytest.mark.parametrize(
    ("days", "office_hours", "how"),
    [(0.9, False, OK), (1.1, False, WARNING), (3.9, True, OK), (4.1, True, WARNING)],
)
def test_a_campaign_whose_last_letter_was_taken_long_ago(peace, letter, days, office_hours, how):
    Campaign.objects.update(office_hours=office_hours)
    Wave.objects.update(launched_at=ago(days=days))
    assert severity(campaigns.moving) == how
    other = builders.delivery_of(builders.confirmed(peace))
    change(other, state=State.ACCEPTED, finished_at=ago(hours=1))
    assert severity(campaigns.moving) == OK


def test_a_campaign_that_braked_waits_for_a_person_until_it_is_resumed(peace):
    lifecycle.pause(peace, by="ana")
    assert severity(campaigns.braked) == OK
    Brake.objects.create(campaign=peace, cause="bounces", looked_at=100, found=12)
    [(how, what)] = found(campaigns.braked)
    assert how == WARNING
    assert "bounces of 12 in 100 letters" in what
    lifecycle.resume(peace, by="ana")
    lifecycle.pause(peace, by="ana")
    assert severity(campaigns.braked) == OK


def test_a_canary_that_waits_for_a_person(peace):
    assert severity(campaigns.canaries) == OK
    Wave.objects.update(canary=10, launched_at=ago(minutes=10))
    assert severity(campaigns.canaries) == INFO
    Wave.objects.update(launched_at=ago(hours=3))
    assert found(campaigns.canaries)[0][0] == WARNING
    Wave.objects.update(continued_at=timezone.now())
    assert severity(campaigns.canaries) == OK


# Relays and domains, as the workers know them


def test_relays_in_trouble(settings):
    settings.SEND_PLACES = 2
    resting = timezone.now() + timedelta(seconds=20)
    RelayPace.objects.create(name="letters", rest_until=resting, trouble="421 4.7.0\ntoo many")
    [(how, what)] = found(relays.rests)
    assert how == WARNING
    assert what.endswith("421 4.7.0 too many")
    RelayPace.objects.update(rest_until=ago(minutes=1))
    assert severity(relays.rests) == INFO
    RelayPace.objects.update(trouble="", connections=1)
    assert "1 connections for SEND_PLACES=2" in found(relays.rests)[0][1]
    RelayPace.objects.update(connections=2, per_hour=1000)
    assert found(relays.rests) == [(INFO, "letters: at most 1,000 an hour are sent")]


def test_relays_that_are_held_because_a_backup_was_restored(db):
    RelayPace.objects.create(name="letters", rest_until=rewind.UNTIL_RELEASED, trouble=rewind.TROUBLE)
    [finding] = relays.rests()
    assert finding.severity == ERROR
    assert "held until a person releases it" in finding.what
    assert finding.what.endswith("in the admin")
    assert "manage.py reconcile" in finding.mend


def test_slowed_domains(db):
    Destination.objects.create(domain="limited.example", per_hour=5)
    assert severity(relays.destinations) == OK
    Destination.objects.create(domain="slow.example", gap=4, why="451 later")
    assert found(relays.destinations) == [(INFO, "slow.example gets a message every 4 s: 451 later")]
    Destination.objects.create(domain="stuck.example", gap=60, why="451 later")
    assert severity(relays.destinations) == WARNING
    for number in range(5):
        Destination.objects.create(domain=f"d{number}.example", gap=2)
    assert (INFO, "more domains that are slowed: 2") in found(relays.destinations)


# Journals


@pytest.fixture
def left(settings, tmp_path):
    """A journal that a dead worker left behind two minutes ago."""
    settings.JOURNAL_DIR = str(tmp_path / "journal")
    journal.Journal("dead").close(settled=False)
    [path] = journal.all_files()
    os.utime(path, (time.time() - 120,) * 2)
    return path


def test_a_journal_that_nobody_reads(left):
    assert severity(disk.abandoned) == WARNING
    assert left.exists()
    with journal.abandoned(left) as read:
        assert read is not None  # looking at it took nothing away
    assert severity(disk.abandoned) == OK


def test_a_journal_that_is_held_or_fresh_is_none_of_our_business(left):
    with left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert severity(disk.abandoned) == OK
    os.utime(left)
    assert severity(disk.abandoned) == OK


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (59, "59 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (90_000, "25 h"),
        (200_000, "2 days"),
    ],
)
def test_times_in_words(seconds, words):
    assert lasting(seconds) == words
