"""Signing, confirming, refusing, withdrawing and forgetting a letter: each once, and each twice."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from contacts import consent
from contacts.models import Consent, Office, Supporter, Suppression
from letters import lifecycle, outbox, signup
from letters.models import Campaign, Delivery, Letter, Wave
from letters.models.campaign import Tally
from letters.rules.ledger import State
from tests import builders

pytestmark = pytest.mark.django_db
MINE = "grace.hopper@gmail.com"
WAYS_TO_SPELL_MINE = [
    "grace.hopper@gmail.com",
    "Grace.Hopper@GMail.com",
    "gracehopper@gmail.com",
    "g.r.a.c.e.hopper+petition@googlemail.com",
]


@pytest.fixture
def peace():
    return builders.open_campaign()


@pytest.fixture
def running(peace):
    builders.office("FR")
    lifecycle.launch(peace, by="ana")
    peace.refresh_from_db()
    return peace


def sign(campaign, *, country="FR", own_words="", **changes):
    ministry = Office.objects.ministries().get(country=country)
    return signup.sign(
        campaign, ministry, ["speeches"], own_words=own_words, signer=builders.signer(**changes)
    )


def mails(**which):
    return Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION, **which)


def later(hours, letter):
    """Time passes for a letter and for its mails."""
    Letter.objects.filter(pk=letter.pk).update(created_at=timezone.now() - timedelta(hours=hours))
    mails(letter=letter).update(created_at=timezone.now() - timedelta(hours=hours))


# Signing


def test_signing_stores_a_letter_that_waits_and_posts_one_confirmation(peace):
    letter = sign(peace, email="Amelie@People.example")
    assert (letter.state, letter.supporter, letter.number) == (Letter.State.UNCONFIRMED, None, None)
    mail = mails(letter=letter).get()
    assert (mail.recipient, mail.state, mail.lane) == ("Amelie@People.example", State.WAITING, 0)
    assert not Supporter.objects.exists()
    assert not Consent.objects.exists()
    assert not Delivery.objects.filter(kind=Delivery.Kind.LETTER).exists()


def test_the_letter_is_in_the_ministrys_language_whatever_the_sender_reads(peace):
    assert sign(peace, country="FR", reading_language="es").language == "fr"
    brazilian = sign(peace, country="BR")
    assert (brazilian.language, brazilian.courtesy) == ("en", True)


def test_the_same_form_sent_twice_is_one_letter_and_one_mail(peace):
    signer = builders.signer()
    ministry = Office.objects.ministries().get(country="FR")
    first, second = (
        signup.sign(peace, ministry, ["speeches"], own_words="Hope.", signer=signer) for _ in range(2)
    )
    assert first == second
    assert Letter.objects.count() == mails().count() == 1


def test_two_different_letters_of_one_person_are_two(peace):
    assert sign(peace, email=MINE) != sign(peace, email=MINE, country="ES")
    assert Letter.objects.count() == 2


@pytest.mark.parametrize("spelling", WAYS_TO_SPELL_MINE)
def test_one_mailbox_gets_one_confirmation_a_day_however_it_is_spelt(peace, spelling):
    first = sign(peace, email=MINE)
    assert sign(peace, email=spelling, country="ES") is not None
    assert [mail.letter for mail in mails()] == [first]


def test_somebody_elses_mailbox_has_a_brake_of_its_own(peace):
    sign(peace, email="grace.hopper@people.example")
    sign(peace, email="gracehopper@people.example")  # dots count elsewhere than at Gmail
    assert mails().count() == 2


def test_the_brake_holds_across_campaigns(peace):
    sign(peace, email=MINE)
    sign(builders.open_campaign("water"), email=MINE)
    assert mails().count() == 1


def test_a_day_later_one_more_mail_may_go_but_never_a_third_in_one_campaign(peace):
    later(25, sign(peace, email=MINE, country="FR"))
    later(25, sign(peace, email=MINE, country="ES"))
    assert mails().count() == 2
    sign(peace, email=MINE, country="SN")
    assert mails().count() == 2
    sign(builders.open_campaign("water"), email=MINE)
    assert mails().count() == 3


def test_at_most_five_letters_wait_for_one_mailbox(peace):
    stored = [sign(peace, email=MINE, country=code) for code in ("FR", "ES", "SN", "CL", "DE", "AT", "IE")]
    assert [letter is not None for letter in stored] == [True] * 5 + [False] * 2
    assert Letter.objects.count() == 5


@pytest.mark.parametrize("spelling", WAYS_TO_SPELL_MINE)
def test_nothing_is_stored_for_an_address_that_asked_for_silence(peace, spelling):
    consent.suppress(MINE, reason=Suppression.Reason.ASKED)
    assert sign(peace, email=spelling) is None
    assert not Letter.objects.exists()
    assert not Delivery.objects.exists()


def test_a_closed_campaign_takes_no_letters():
    with pytest.raises(signup.Closed):
        sign(builders.open_campaign(opened=False))


def test_an_ask_that_is_not_put_to_a_state_is_refused(peace):
    peace.asks.get(key="speeches").not_for.add("FR")
    with pytest.raises(signup.NoSuchAsk, match="speeches"):
        sign(peace)
    assert sign(peace, country="SN") is not None


def test_signing_and_confirming_need_no_broker(running, settings):
    settings.CELERY_BROKER_URL = settings.REDIS_URL = "redis://127.0.0.1:9/0"  # nobody listens there
    assert signup.confirm(sign(running).pk).state == Letter.State.CONFIRMED


# Confirming


def test_confirming_makes_the_supporter_and_keeps_the_exact_consent(peace):
    letter = sign(
        peace, name="Grace Hopper", email=MINE, consent_wording="I agree, wholly.",
        reading_language="es", city="New York", news={"un2020": "Yes, UN2020 may write to me."},
    )  # fmt: skip
    confirmed = signup.confirm(letter.pk)
    supporter = confirmed.supporter
    assert (supporter.name, supporter.email, supporter.language) == ("Grace Hopper", MINE, "es")
    acts = {(one.purpose, one.wording, one.language, one.act) for one in supporter.consents.all()}
    assert acts == {
        ("letter:peace", "I agree, wholly.", "es", "given"),
        ("news:un2020", "Yes, UN2020 may write to me.", "es", "given"),
    }
    assert abs(timezone.now() - confirmed.confirmed_at) < timedelta(minutes=1)


def test_confirming_twice_changes_nothing_the_second_time(running):
    letter = sign(running)
    first = signup.confirm(letter.pk)
    second = signup.confirm(letter.pk)
    assert first.number == second.number == 1
    assert Tally.objects.get(campaign=running).signed == Supporter.objects.count() == 1
    assert Consent.objects.count() == Delivery.objects.filter(kind="letter").count() == 1


def test_the_forty_second_letter_to_a_state_is_number_42(peace):
    Tally.objects.create(campaign=peace, country_id="FR", signed=40, numbered=41)
    Tally.objects.create(campaign=peace, country_id="ES", signed=7, numbered=7)
    assert builders.confirmed(peace, country="FR").number == 42
    assert builders.confirmed(peace, country="ES").number == 8
    assert set(Tally.objects.values_list("country", "signed")) == {("FR", 41), ("ES", 8)}


def test_a_second_letter_to_the_same_ministry_leads_to_the_first(peace):
    first = signup.confirm(sign(peace, email=MINE).pk)
    second = sign(peace, email="gracehopper+again@gmail.com", own_words="Once more.")
    assert signup.confirm(second.pk) == first
    second.refresh_from_db()
    assert (second.state, second.supporter) == (Letter.State.MERGED, first.supporter)
    assert list(Letter.objects.confirmed()) == [first]
    assert Tally.objects.get().signed == 1
    with pytest.raises(signup.Gone):
        signup.confirm(second.pk)
    assert list(Letter.objects.unposted()) == [first]


def test_letters_to_two_ministries_are_two_letters_of_one_supporter(peace):
    letters = [signup.confirm(sign(peace, email=MINE, country=code).pk) for code in ("FR", "ES")]
    assert letters[0].supporter == letters[1].supporter
    assert Letter.objects.confirmed().count() == 2


def test_a_stranger_who_types_my_address_changes_nothing_of_mine(peace):
    mine = signup.confirm(sign(peace, email=MINE, name="Grace Hopper", city="New York").pk)
    before = Supporter.objects.values().get()
    sign(peace, email="GraceHopper@gmail.com", name="Not Grace", city="Elsewhere", country="ES")
    sign(peace, email=MINE, name="Not Grace either", own_words="Shameful words", country="FR")
    assert Supporter.objects.values().get() == before
    mine.refresh_from_db()
    assert (mine.state, mine.signer_name, mine.own_words) == (Letter.State.CONFIRMED, "Grace Hopper", "")
    assert Consent.objects.count() == 1


def test_a_letter_confirmed_while_sending_runs_joins_todays_rolling_wave(running):
    letters = [builders.confirmed(running) for _ in range(3)]
    wave = Wave.objects.get(campaign=running)
    assert (wave.day, wave.selected) == (timezone.now().date(), 3)
    rows = Delivery.objects.filter(wave=wave, kind=Delivery.Kind.LETTER)
    assert {row.letter for row in rows} == set(letters)
    assert {row.recipient for row in rows} == {"cabinet@mfa.fr.example"}


@pytest.mark.parametrize("sending", [Campaign.Sending.DRAFT, Campaign.Sending.PAUSED])
def test_a_letter_confirmed_while_nothing_is_sent_waits_outside_the_outbox(peace, sending):
    Campaign.objects.filter(pk=peace.pk).update(sending=sending)
    letter = builders.confirmed(peace)
    assert not Delivery.objects.filter(kind=Delivery.Kind.LETTER).exists()
    assert list(Letter.objects.unposted()) == [letter]


@pytest.mark.parametrize("ended", [Letter.State.REFUSED, Letter.State.WITHDRAWN, Letter.State.ERASED])
def test_what_ended_cannot_be_confirmed(peace, ended):
    letter = sign(peace)
    Letter.objects.filter(pk=letter.pk).update(state=ended)
    with pytest.raises(signup.Gone) as gone:
        signup.confirm(letter.pk)
    assert gone.value.letter.state == ended
    assert not Supporter.objects.exists()


@pytest.mark.parametrize("ended", [Campaign.Sending.FINISHED, Campaign.Sending.CANCELLED])
def test_a_letter_of_a_campaign_that_ended_is_not_confirmed(peace, ended):
    letter = sign(peace)
    Campaign.objects.filter(pk=peace.pk).update(sending=ended)
    with pytest.raises(signup.Closed):
        signup.confirm(letter.pk)
    assert not Supporter.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_letters_confirmed_during_the_launch_are_all_posted_once(peace):
    countries = ("FR", "ES", "SN", "CL", "DE", "AT", "IE", "PT")
    numbers = [builders.unconfirmed(peace, country=code).pk for code in countries]

    confirming = [partial(signup.confirm, number) for number in numbers]
    answers = builders.at_once(partial(lifecycle.launch, peace, by="ana"), *confirming)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    posted = Delivery.objects.filter(kind=Delivery.Kind.LETTER)
    assert sorted(posted.values_list("letter", flat=True)) == sorted(numbers)
    assert lifecycle.equation(peace).selected == len(numbers)


# Refusing


def test_not_me_forgets_what_was_typed_and_writes_no_more(peace):
    letter = sign(peace, email=MINE, name="Grace Hopper", city="New York", own_words="I care.")
    for _ in range(2):
        signup.refuse(letter.pk)
    stored = str(Letter.objects.values().get()) + str(list(Delivery.objects.values()))
    for typed in ("Grace", "Hopper", MINE, "gracehopper", "New York", "I care."):
        assert typed not in stored
    assert mails().get().state == State.SUPPRESSED
    assert Suppression.objects.get().reason == Suppression.Reason.NOT_ME
    assert sign(peace, email="gracehopper@gmail.com") is None


def test_a_confirmed_letter_is_not_refused(peace):
    letter = builders.confirmed(peace)
    with pytest.raises(signup.Gone):
        signup.refuse(letter.pk)
    assert not Suppression.objects.exists()


# Withdrawing


def test_a_letter_withdrawn_in_time_is_never_sent(running):
    letter = builders.confirmed(running)
    for _ in range(2):
        assert signup.withdraw(letter.pk).state == Letter.State.WITHDRAWN
    assert builders.delivery_of(letter).state == State.WITHDRAWN
    assert Tally.objects.get().signed == 0
    assert not consent.holds(letter.supporter, "letter:peace")
    assert [one.act for one in Consent.objects.all()] == ["withdrawn", "given"]
    assert lifecycle.equation(running).balanced


def test_a_letter_is_withdrawn_before_it_is_in_the_outbox(peace):
    letter = builders.confirmed(peace)
    signup.withdraw(letter.pk)
    lifecycle.launch(peace, by="ana")
    assert not Delivery.objects.filter(kind=Delivery.Kind.LETTER).exists()


@pytest.mark.parametrize("state", [State.HELD, State.WAITING, State.DEFERRED])
def test_what_has_not_left_can_be_withdrawn(running, state):
    letter = builders.confirmed(running)
    builders.force(Delivery.objects.filter(letter=letter, kind="letter"), state)
    assert signup.withdraw(letter.pk).state == Letter.State.WITHDRAWN


@pytest.mark.parametrize("state", [State.SUBMITTING, State.UNCERTAIN, State.ACCEPTED])
def test_what_is_leaving_cannot_be_withdrawn(running, state):
    letter = builders.confirmed(running)
    builders.force(Delivery.objects.filter(letter=letter, kind="letter"), state)
    with pytest.raises(signup.AlreadySent):
        signup.withdraw(letter.pk)
    letter.refresh_from_db()
    assert (letter.state, builders.delivery_of(letter).state) == (Letter.State.CONFIRMED, state)
    assert Tally.objects.get().signed == 1
    assert consent.holds(letter.supporter, "letter:peace")


def test_whoever_withdrew_may_write_again(running):
    first = signup.confirm(sign(running, email=MINE).pk)
    signup.withdraw(first.pk)
    second = signup.confirm(sign(running, email=MINE).pk)
    assert second.pk != first.pk
    assert consent.holds(second.supporter, "letter:peace")
    assert builders.delivery_of(second).state == State.WAITING


def test_there_is_nothing_to_withdraw_before_confirming(peace):
    with pytest.raises(signup.Gone):
        signup.withdraw(sign(peace).pk)


# Forgetting


def test_after_seven_days_nothing_is_left_of_an_unconfirmed_letter(peace):
    old, fresh, kept = sign(peace), sign(peace), builders.confirmed(peace)
    for letter, days in [(old, 7.01), (fresh, 6.9), (kept, 30)]:
        later(days * 24, letter)
    outbox.put(Delivery.Kind.CONFIRMATION, letter=old, recipient=old.signer_email).events.create(
        what="sent", source="test"
    )
    assert signup.forget_unconfirmed() == 1
    assert signup.forget_unconfirmed() == 0
    assert set(Letter.objects.all()) == {fresh, kept}
    assert not Delivery.objects.filter(recipient=old.signer_email).exists()


def test_a_worker_whose_clock_is_wrong_forgets_nothing(peace, monkeypatch):
    letter, wrong = sign(peace), timezone.now() + timedelta(days=8)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    assert signup.forget_unconfirmed() == 0
    assert list(Letter.objects.all()) == [letter]
