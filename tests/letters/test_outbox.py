"""The outbox: rows are the queue; an office without an address holds its letters until it has one."""

import re

import pytest

from contacts.models import Office
from letters import lifecycle, outbox
from letters.models import Delivery, Wave
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
    Delivery.objects.filter(letter=letter).update(state=State.HELD, reason="held by a person")
    assert outbox.release_held() == 0


def test_many_letters_are_posted_in_batches_without_losing_one(monkeypatch):
    builders.known_world()
    builders.office("FR")
    campaign = builders.open_campaign()
    for _ in range(5):
        builders.confirmed(campaign)
    monkeypatch.setattr(outbox, "BATCH", 2)
    wave = lifecycle.launch(campaign, by="ana")
    assert wave.selected == Delivery.objects.filter(wave=wave).count() == 5
