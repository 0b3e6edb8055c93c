"""The outbox: rows are the queue; an office without an address holds its letters until it has one."""

import re
import time
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from contacts.models import Country, Office, Supporter
from letters import lifecycle, outbox, signup
from letters.models import Campaign, Delivery, Letter, OfficePace, Wave
from letters.rules.ledger import State
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def running():
    row = builders.open_campaign()
    lifecycle.launch(row, by="ana")
    return row


def test_a_message_id_is_unique_and_at_our_own_domain(settings):
    made = {outbox.new_message_id() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(rf"<[0-9a-f]{{32}}@{re.escape(settings.REPLY_DOMAIN)}>", one) for one in made)


def test_people_who_wait_come_before_campaigns(running):
    lanes = [Delivery.LANES[kind] for kind in ("confirmation", "answer", "notice", "letter", "digest")]
    assert lanes == sorted(set(lanes))


def test_a_letter_to_an_office_without_address_is_held_and_goes_when_it_has_one(running):
    letter = builders.confirmed(running, country="SN")
    held = builders.delivery_of(letter)
    assert (held.state, held.reason, held.recipient) == (State.HELD, outbox.NO_ADDRESS, "")
    assert outbox.release_held() == 0
    builders.office("SN")
    assert outbox.release_held() == 1
    released = builders.delivery_of(letter)
    assert (released.state, released.reason, released.recipient) == (
        State.WAITING,
        "",
        "cabinet@mfa.sn.example",
    )
    assert outbox.release_held() == 0
    assert Wave.objects.get().selected == 1


@pytest.mark.parametrize("closed", ["office", "country"])
def test_an_office_that_is_switched_off_keeps_its_letters(running, closed):
    letter = builders.confirmed(running, country="SN")
    office = builders.office("SN")
    if closed == "office":
        Office.objects.filter(pk=office.pk).update(state=Office.State.OFF)
    else:
        office.country.enabled = False
        office.country.save()
    assert outbox.release_held() == 0
    assert builders.delivery_of(letter).state == State.HELD


def test_letters_held_for_another_reason_are_not_let_go(running):
    builders.office("FR")
    letter = builders.confirmed(running)
    builders.force(Delivery.objects.filter(letter=letter), State.HELD, reason="held by a person")
    assert outbox.release_held() == 0


@pytest.fixture
def confirmed():
    """A campaign with six confirmed letters: five to France, one to Senegal, whose address nobody knows."""
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    for country in ("FR", "FR", "SN", "FR", "FR", "FR"):
        builders.confirmed(row, country=country)
    return row


def test_a_frozen_letter_has_all_that_a_worker_needs(confirmed, settings):
    wave = lifecycle.launch(confirmed, by="ana")
    rows = list(Delivery.objects.filter(wave=wave).select_related("letter__office").order_by("pk"))
    assert wave.selected == len(rows) == 6
    assert rows == sorted(rows, key=lambda row: (row.office_id, row.letter_id))
    domain = re.escape(settings.REPLY_DOMAIN)
    assert all(re.fullmatch(rf"<[0-9a-f]{{32}}@{domain}>", row.message_id) for row in rows)
    assert len({row.message_id for row in rows}) == 6
    for row in rows:
        assert (row.kind, row.lane, row.attempts, row.outcome) == ("letter", 3, 0, 0)
        assert (row.office_id, row.supporter_id) == (row.letter.office_id, row.letter.supporter_id)
        assert (row.campaign_id, row.finished_at) == (confirmed.pk, None)
        assert row.recipient == row.letter.office.email
        known = bool(row.recipient)
        assert (row.state, row.reason) == ((State.WAITING, "") if known else (State.HELD, outbox.NO_ADDRESS))
    assert Delivery.objects.letters().due().count() == 5


def test_every_office_that_is_written_to_gets_a_timetable(confirmed):
    lifecycle.launch(confirmed, by="ana")
    offices = set(confirmed.letters.values_list("office", flat=True))
    assert set(OfficePace.objects.values_list("pk", flat=True)) == offices
    builders.confirmed(confirmed, country="KE")
    assert OfficePace.objects.count() == len(offices) + 1


@pytest.mark.parametrize("closed", ["office", "country"])
def test_letters_to_an_office_that_is_switched_off_are_frozen_but_held(confirmed, closed):
    if closed == "office":
        Office.objects.filter(country="FR").update(state=Office.State.OFF)
    else:
        Country.objects.filter(pk="FR").update(enabled=False)
    lifecycle.launch(confirmed, by="ana")
    assert Delivery.objects.letters().filter(state=State.HELD, recipient="").count() == 6


def test_only_confirmed_letters_of_this_round_are_frozen(confirmed):
    signup.withdraw(confirmed.letters.first().pk)
    confirmed.letters.filter(pk=confirmed.letters.last().pk).update(round=2)
    builders.unconfirmed(confirmed)
    assert lifecycle.launch(confirmed, by="ana").selected == 4


def test_a_letter_that_was_left_behind_is_posted_by_the_next_round_of_tidying(confirmed):
    lifecycle.launch(confirmed, by="ana")
    late = builders.confirmed(confirmed)
    Delivery.objects.filter(letter=late).delete()
    Wave.objects.filter(day__isnull=False).update(selected=0)
    assert [outbox.post_stragglers(), outbox.post_stragglers()] == [1, 0]
    assert builders.delivery_of(late).state == State.WAITING
    assert lifecycle.equation(confirmed).balanced


def test_what_was_left_behind_days_ago_is_not_looked_for_all_the_time_but_goes_with_the_next_wave(confirmed):
    lifecycle.launch(confirmed, by="ana")
    late = builders.confirmed(confirmed)
    Delivery.objects.filter(letter=late).delete()
    Wave.objects.filter(day__isnull=False).update(selected=0)
    Letter.objects.filter(pk=late.pk).update(confirmed_at=Now() - timedelta(days=2, minutes=1))
    assert outbox.post_stragglers() == 0
    lifecycle.pause(confirmed, by="ana")
    assert lifecycle.resume(confirmed, by="ana").selected == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_cancellation_never_waits_for_a_worker_and_what_that_held_ends_later(confirmed):
    """A worker that holds the first letter and then wants the last would wait in a ring with us."""
    lifecycle.launch(confirmed, by="ana")
    first, *_, last = Delivery.objects.letters().filter(state=State.WAITING).order_by("pk")
    with transaction.atomic():
        Delivery.objects.filter(pk=first.pk).to(State.SUBMITTING)
        [cancelled] = builders.at_once(partial(lifecycle.cancel, confirmed, by="ana"))
        Delivery.objects.filter(pk=last.pk).to(State.SUBMITTING)
    assert cancelled == 5
    assert builders.delivery_of(last.letter).state == State.CANCELLED
    Delivery.objects.filter(pk=first.pk).to(State.DEFERRED)
    assert [outbox.close_overdue(), outbox.close_overdue()] == [1, 0]
    assert lifecycle.equation(confirmed).closed


def test_a_launch_that_fails_half_way_freezes_nothing(confirmed, monkeypatch):
    def break_down(*args, **kwargs):
        raise RuntimeError("no more")

    monkeypatch.setattr(OfficePace.objects, "bulk_create", break_down)
    with pytest.raises(RuntimeError):
        lifecycle.launch(confirmed, by="ana")
    confirmed.refresh_from_db()
    assert confirmed.sending == Campaign.Sending.DRAFT
    assert not Delivery.objects.letters().exists()
    assert not Wave.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_letters_withdrawn_while_they_are_frozen_leave_the_equation_balanced(confirmed):
    letters = list(confirmed.letters.values_list("pk", flat=True))
    calls = [partial(signup.withdraw, pk) for pk in letters[:4]]
    answers = builders.at_once(partial(lifecycle.launch, confirmed, by="ana"), *calls)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    sums = lifecycle.equation(confirmed)
    assert sums.balanced
    assert sums.open == 2
    assert sums.states["withdrawn"] == sums.selected - 2


SUPPORTERS = """
    INSERT INTO contacts_supporter (email, address_key, name, language, city, organisation)
    SELECT 'p' || n || '@people.example', 'p' || n || '@people.example', 'Person ' || n, 'en', '', ''
    FROM generate_series(1, %s) AS n
"""
LETTERS = """
    INSERT INTO letters_letter (
        campaign_id, round, office_id, country_id, supporter_id, state, signer_name, signer_email,
        address_key, home, city, organisation, include_email, show_name, own_words, reading_language,
        consent_wording, news, language, courtesy, text_id, asks, reply_token, reference
    )
    SELECT %s, 1, office.id, office.country_id, person.id, 'confirmed', person.name, person.email,
        person.address_key, '', '', '', false, true, '', 'en',
        'I agree', '{}', 'en', false, %s, '{}', 'x' || person.id, 'PEACE-' || person.id
    FROM contacts_supporter AS person
    JOIN (
        SELECT id, country_id, row_number() OVER (ORDER BY id) AS place
        FROM contacts_office WHERE kind = 'ministry'
    ) AS office ON office.place = 1 + person.id %% 150
"""


@pytest.mark.long
@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_hundred_thousand_letters_are_frozen_let_go_and_cancelled_within_seconds():
    builders.known_world()
    row = builders.open_campaign()
    Office.objects.update(
        email="cabinet@mfa.example", source_url="https://x.example", checked_on="2026-01-01"
    )
    with connection.cursor() as cursor:
        cursor.execute(SUPPORTERS, [100_000])
        cursor.execute(LETTERS, [row.pk, row.texts.filter(kind="letter").first().pk])
    assert Supporter.objects.count() == Letter.objects.count() == 100_000

    def seconds(verb):
        start = time.monotonic()
        verb(row, by="ana")
        connection.check_constraints()  # put off until the commit, which a test does not reach
        return time.monotonic() - start

    took = {verb.__name__: seconds(verb) for verb in (lifecycle.launch, lifecycle.go_on, lifecycle.cancel)}
    print(took)
    assert lifecycle.equation(row).states["cancelled"] == 100_000
    assert took["launch"] < 10
    assert max(took["go_on"], took["cancel"]) < 10
