"""The canary of a large wave: some letters go first, the others when a person has seen what came of it."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from contacts.models import Office
from letters import lifecycle, outbox, signup
from letters.lifecycle import Refused
from letters.models import Campaign, Delivery, Wave
from letters.rules.ledger import Outcome, State
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def large(monkeypatch):
    """Thirty confirmed letters: twelve to France, nine to Ghana, six to Kenya, three to nobody's address.

    And a large wave is one over twenty, of which every tenth letter goes first, at least six.
    """
    monkeypatch.setattr(outbox, "CANARY_OVER", 20)
    monkeypatch.setattr(outbox, "CANARY_SHARE", 10)
    monkeypatch.setattr(outbox, "CANARY_AT_LEAST", 6)
    builders.known_world()
    for country in ("FR", "GH", "KE"):
        builders.office(country)
    campaign = builders.open_campaign()
    for country, letters in (("FR", 12), ("GH", 9), ("KE", 6), ("SN", 3)):
        for _ in range(letters):
            builders.confirmed(campaign, country=country)
    return campaign


def rows(**which):
    return Delivery.objects.filter(kind=Delivery.Kind.LETTER, **which)


def by_country(**which):
    """{country: how many}"""
    found = {}
    for code in rows(**which).values_list("office__country", flat=True):
        found[code] = found.get(code, 0) + 1
    return found


def test_of_a_large_wave_a_canary_goes_first_in_turns_over_the_offices(large):
    wave = lifecycle.launch(large, by="ana")
    assert (wave.selected, wave.canary, wave.continued_at) == (30, 6, None)
    assert by_country(state=State.WAITING) == {"FR": 2, "GH": 2, "KE": 2}
    assert by_country(state=State.HELD, reason=outbox.CANARY) == {"FR": 10, "GH": 7, "KE": 4}
    assert by_country(state=State.HELD, reason=outbox.NO_ADDRESS) == {"SN": 3}
    assert lifecycle.equation(large).balanced


def test_the_canary_is_not_always_the_first_letters_of_an_office(large, monkeypatch):
    monkeypatch.setattr(outbox, "CANARY_AT_LEAST", 1)
    went = set()
    for number in range(20):
        Delivery.objects.letters().delete()
        Wave.objects.all().delete()
        Campaign.objects.filter(pk=large.pk).update(sending=Campaign.Sending.READY)
        lifecycle.launch(large, by=str(number))
        went |= set(rows(state=State.WAITING).values_list("letter", flat=True))
    assert len(went) > 8


@pytest.mark.parametrize(("selected", "first"), [(0, 0), (1000, 0), (1001, 10), (2500, 25), (100_000, 1000)])
def test_a_hundredth_of_a_wave_over_a_thousand_goes_first_but_at_least_ten(selected, first):
    assert outbox.canary_size(selected) == first


def test_a_wave_that_is_not_large_goes_at_once(large, monkeypatch):
    monkeypatch.setattr(outbox, "CANARY_OVER", 30)
    wave = lifecycle.launch(large, by="ana")
    assert wave.canary == 0
    assert not rows(reason=outbox.CANARY).exists()
    with pytest.raises(Refused, match="No letters wait for a canary"):
        lifecycle.go_on(large, by="ana")


def test_nothing_waits_for_a_canary_when_all_with_an_address_are_in_it(large, monkeypatch):
    monkeypatch.setattr(outbox, "CANARY_AT_LEAST", 29)
    wave = lifecycle.launch(large, by="ana")
    assert wave.canary == 0
    assert rows(state=State.WAITING).count() == 27


def test_a_person_lets_the_others_go_on(large):
    wave = lifecycle.launch(large, by="ana")
    assert lifecycle.go_on(large, by="bo") == 21
    wave.refresh_from_db()
    assert wave.continued_by == "bo"
    assert wave.continued_at is not None
    assert rows(state=State.WAITING, reason="").count() == 27
    assert lifecycle.canaries(large) == []
    with pytest.raises(Refused, match="No letters wait"):
        lifecycle.go_on(large, by="bo")


@pytest.mark.django_db(transaction=True)
def test_going_on_pressed_ten_times_at_once_goes_on_once(large):
    lifecycle.launch(large, by="ana")
    answers = builders.at_once(*[partial(lifecycle.go_on, large, by="bo")] * 10)
    assert sorted(answers, key=str)[0] == 21
    assert sum(isinstance(answer, Refused) for answer in answers) == 9


def test_those_whose_office_lost_its_address_meanwhile_wait_for_that(large):
    lifecycle.launch(large, by="ana")
    Office.objects.filter(country="KE").update(email="")
    builders.office("GH", address="new@mfa.gh.example")
    assert lifecycle.go_on(large, by="bo") == 17
    assert by_country(state=State.HELD, reason=outbox.NO_ADDRESS, recipient="") == {"KE": 4, "SN": 3}
    assert rows(state=State.WAITING, recipient="new@mfa.gh.example").count() == 7
    builders.office("KE")
    assert outbox.release_held() == 4


def test_an_address_that_is_found_does_not_get_round_the_canary(large):
    wave = lifecycle.launch(large, by="ana")
    builders.office("SN")
    assert outbox.release_held() == 0
    assert rows(wave=wave, reason=outbox.CANARY, recipient="cabinet@mfa.sn.example").count() == 3
    assert lifecycle.go_on(large, by="bo") == 24
    assert rows(state=State.WAITING).count() == 30


def test_what_the_canary_shows_is_counted(large):
    lifecycle.launch(large, by="ana")
    first, second, third, fourth, *_ = rows(state=State.WAITING)
    for one, state, outcome in [
        (first, State.ACCEPTED, Outcome.NONE),
        (second, State.ACCEPTED, Outcome.BOUNCED_HARD),
        (third, State.ACCEPTED, Outcome.COMPLAINED),
        (fourth, State.FAILED, Outcome.NONE),
    ]:
        builders.force(rows(pk=one.pk), state, outcome=outcome, finished_at=timezone.now())
    [canary] = lifecycle.canaries(large)
    assert (canary.wave.canary, canary.waiting) == (6, 21)
    assert (canary.accepted, canary.failed, canary.bounced, canary.complained) == (3, 1, 1, 1)


def test_letters_confirmed_later_do_not_wait_for_the_canary(large):
    lifecycle.launch(large, by="ana")
    late = builders.confirmed(large)
    assert builders.delivery_of(late).state == State.WAITING


def test_a_large_wave_of_a_resumption_has_a_canary_of_its_own(large):
    for name in ("launch", "go_on", "pause"):
        lifecycle.act(large, name, by="ana")
    for _ in range(21):
        builders.confirmed(large, country="FR")
    wave = lifecycle.resume(large, by="bo")
    assert (wave.number, wave.selected, wave.canary) == (2, 21, 6)
    assert by_country(wave=wave, state=State.HELD, reason=outbox.CANARY) == {"FR": 15}


def test_what_is_held_for_the_canary_can_be_cancelled_and_the_equation_balances(large):
    lifecycle.launch(large, by="ana")
    builders.force(rows(pk=rows(state=State.WAITING).first().pk), State.ACCEPTED)
    assert lifecycle.cancel(large, by="ana") == 29
    sums = lifecycle.equation(large)
    assert (sums.selected, sums.states["accepted"], sums.states["cancelled"]) == (30, 1, 29)
    assert sums.closed


def test_what_is_held_for_the_canary_expires(large):
    lifecycle.launch(large, by="ana")
    Campaign.objects.filter(pk=large.pk).update(send_by=timezone.now() - timedelta(seconds=1))
    assert outbox.close_overdue() == 30
    assert rows(state=State.EXPIRED, reason="too late to send").count() == 30
    assert outbox.close_overdue() == 0


def test_what_is_held_for_the_canary_can_be_withdrawn(large):
    lifecycle.launch(large, by="ana")
    held = rows(reason=outbox.CANARY).first()
    signup.withdraw(held.letter_id)
    held.refresh_from_db()
    assert held.state == State.WITHDRAWN
    assert lifecycle.go_on(large, by="bo") == 20
    assert lifecycle.equation(large).balanced
