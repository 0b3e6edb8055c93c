"""Consent is a record of acts; suppression is a mailbox nobody can read out of the table."""

import pytest
from django.test import override_settings

from contacts import consent
from contacts.addresses import AddressError
from contacts.models import Consent, Supporter, Suppression

pytestmark = pytest.mark.django_db
PURPOSE = "letter:peace"
WORDS = {"wording": "J'accepte que ma lettre soit envoyée.", "language": "fr"}
REASON, SCOPE = Suppression.Reason, Suppression.Scope


@pytest.fixture
def amelie() -> Supporter:
    return Supporter.objects.create(email="amelie@people.example", name="Amélie", language="fr")


def test_the_latest_act_holds_and_every_act_is_kept(amelie: Supporter) -> None:
    assert not consent.holds(amelie, PURPOSE)

    consent.give(amelie, PURPOSE, **WORDS)
    assert consent.holds(amelie, PURPOSE)
    consent.withdraw(amelie, PURPOSE, wording="Je retire mon accord.", language="fr")
    assert not consent.holds(amelie, PURPOSE)
    consent.give(amelie, PURPOSE, **WORDS)
    assert consent.holds(amelie, PURPOSE)

    assert [row.act for row in Consent.objects.order_by("pk")] == ["given", "withdrawn", "given"]
    assert Consent.objects.order_by("pk")[1].wording == "Je retire mon accord."


def test_one_purpose_says_nothing_of_another(amelie: Supporter) -> None:
    consent.give(amelie, PURPOSE, **WORDS)

    assert not consent.holds(amelie, "news:peace")


def test_withdrawing_twice_or_without_consent_records_nothing(amelie: Supporter) -> None:
    assert consent.withdraw(amelie, PURPOSE, **WORDS) is None
    consent.give(amelie, PURPOSE, **WORDS)
    assert consent.withdraw(amelie, PURPOSE, **WORDS) is not None
    assert consent.withdraw(amelie, PURPOSE, **WORDS) is None

    assert Consent.objects.count() == 2


def test_a_suppressed_mailbox_is_known_in_every_spelling() -> None:
    consent.suppress("A.melie+un2020@GoogleMail.com", reason=REASON.ASKED)
    spellings = ["amelie@gmail.com", "AMELIE@gmail.com", "ame.lie+x@googlemail.com"]

    assert consent.suppressed([*spellings, "bruno@gmail.com"]) == set(spellings)


def test_the_table_tells_neither_the_address_nor_lets_it_be_guessed() -> None:
    row = consent.suppress("amelie@bücher.example", reason=REASON.ERASED)

    for part in ("amelie", "bücher", "bcher"):
        assert part not in f"{row} {Suppression.objects.values().get()}"
    with override_settings(SUPPRESSION_KEY="another key"):
        assert consent.fingerprint("amelie@bücher.example") != row.address_hash
        assert not consent.suppressed(["amelie@bücher.example"])


def test_suppressing_twice_keeps_the_first_reason() -> None:
    first = consent.suppress("amelie@people.example", reason=REASON.COMPLAINT)
    again = consent.suppress("Amelie+x@people.example", reason=REASON.BOUNCE)

    assert first == again
    assert Suppression.objects.get().reason == REASON.COMPLAINT


def test_one_reason_may_be_left_out() -> None:
    consent.suppress("amelie@people.example", reason=REASON.NOT_ME)
    consent.suppress("bruno@people.example", reason=REASON.COMPLAINT)
    both = {"amelie@people.example", "bruno@people.example"}

    assert consent.suppressed(both) == both
    assert consent.suppressed(both, ignoring=REASON.NOT_ME) == {"bruno@people.example"}


@pytest.mark.parametrize(
    ("stopped", "asked", "found"),
    [
        (SCOPE.ALL, SCOPE.ALL, True),
        (SCOPE.ALL, SCOPE.NEWS, True),
        (SCOPE.NEWS, SCOPE.NEWS, True),
        (SCOPE.NEWS, SCOPE.ALL, False),
    ],
)
def test_who_wants_no_news_may_still_get_letters(stopped: str, asked: str, found: bool) -> None:
    consent.suppress("amelie@people.example", reason=REASON.ASKED, scope=stopped)

    assert bool(consent.suppressed(["amelie@people.example"], scope=asked)) is found


def test_what_is_no_address_cannot_be_suppressed() -> None:
    with pytest.raises(AddressError):
        consent.suppress("amelie\r\n@people.example", reason=REASON.ASKED)
    assert not Suppression.objects.exists()


def test_many_addresses_are_asked_about_in_one_query(django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        consent.suppressed(f"amelie{number}@people.example" for number in range(500))
