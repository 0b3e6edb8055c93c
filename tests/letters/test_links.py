"""Personal links, and the pages behind them: for one purpose, for a time, for their holder alone."""

import time
from unittest import mock

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from letters import lifecycle, links, signup
from letters.links import ExpiredLink, Purpose, WrongLink
from letters.models import Delivery, Filing, Incoming, Letter
from letters.rules.ledger import State
from tests import builders

DAY = 24 * 3600
PAGES = {
    Purpose.CONFIRM: "letters:confirm",
    Purpose.REFUSE: "letters:refuse",
    Purpose.THANKS: "letters:thanks",
    Purpose.MY_LETTERS: "letters:my_letters",
}


@pytest.fixture
def peace(db):
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    lifecycle.launch(row, by="ana")
    return row


def page(purpose, token):
    return reverse(PAGES[purpose], args=[token])


def made(purpose, number, *, days_ago=0.0):
    with mock.patch("django.core.signing.time.time", return_value=time.time() - days_ago * DAY):
        return links.make(purpose, number)


def text_of(response):
    return response.content.decode()


# Tokens


@pytest.mark.parametrize("purpose", Purpose)
def test_a_link_leads_to_its_row(purpose):
    assert links.read(purpose, links.make(purpose, 12345)) == 12345


@pytest.mark.parametrize("made_for", Purpose)
@pytest.mark.parametrize("used_for", Purpose)
def test_a_link_serves_one_purpose(made_for, used_for):
    token = links.make(made_for, 1)
    if made_for is used_for:
        assert links.read(used_for, token) == 1
    else:
        with pytest.raises(WrongLink):
            links.read(used_for, token)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_link_expires_with_its_time_and_not_before(purpose):
    days = purpose.lasts.days
    assert links.read(purpose, made(purpose, 7, days_ago=days - 0.001)) == 7
    with pytest.raises(ExpiredLink) as expired:
        links.read(purpose, made(purpose, 7, days_ago=days + 0.001))
    assert expired.value.number == 7


def tampered():
    token = links.make(Purpose.CONFIRM, 12345)
    for place in range(len(token)):
        yield token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    yield from (
        "",
        "x",
        ":",
        "::",
        token[:-1],
        token + "A",
        token * 2,
        f" {token}",
        token.upper(),
        "💥:1:2",
        "\x00",
    )


def test_a_changed_link_is_never_ours():
    for token in tampered():
        with pytest.raises(WrongLink):
            links.read(Purpose.CONFIRM, token)


def test_a_signed_link_that_names_no_row_is_wrong():
    token = signing.TimestampSigner(salt="letters.links.confirm").sign_object({"pk": 1})
    with pytest.raises(WrongLink):
        links.read(Purpose.CONFIRM, token)


def test_a_signature_has_at_least_128_bits():
    signature = links.make(Purpose.MY_LETTERS, 1).rsplit(":", 1)[1]
    assert len(signature) * 6 >= 128


# Pages


def holders(peace):
    waiting, mine = builders.unconfirmed(peace), builders.confirmed(peace)
    return {
        Purpose.CONFIRM: waiting.pk,
        Purpose.REFUSE: waiting.pk,
        Purpose.THANKS: mine.pk,
        Purpose.MY_LETTERS: mine.supporter_id,
    }


@pytest.mark.parametrize("purpose", Purpose)
def test_secret_pages_stay_out_of_caches_searches_and_referrers(client, peace, purpose):
    answer = client.get(page(purpose, links.make(purpose, holders(peace)[purpose])))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("purpose", Purpose)
def test_an_expired_link_is_gone_with_a_way_on(client, peace, purpose):
    token = made(purpose, holders(peace)[purpose], days_ago=purpose.lasts.days + 1)
    for answer in (client.get(page(purpose, token)), client.head(page(purpose, token))):
        assert answer.status_code == 410
        assert answer["Cache-Control"] == "no-store"
    assert 'href="/en/"' in text_of(client.get(page(purpose, token)))


@pytest.mark.parametrize("purpose", Purpose)
def test_wrong_links_are_all_answered_with_the_same_words(client, peace, purpose):
    number = holders(peace)[purpose]
    other = next(one for one in Purpose if one is not purpose)
    wrong = [links.make(other, number), links.make(purpose, number)[:-1] + "!", "x", "%00", "nonsense" * 50]
    answers = [client.get(page(purpose, token)) for token in wrong]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.REFUSE])
def test_a_link_to_a_letter_that_is_no_longer_there_is_gone(client, peace, purpose):
    answer = client.get(page(purpose, links.make(purpose, 10**9)))
    assert answer.status_code == 410
    assert "no longer here" in text_of(answer)


def test_the_page_shows_the_whole_letter_and_only_the_button_confirms_it(client, peace):
    letter = builders.unconfirmed(peace, own_words="<script>alert(1)</script> & so", name="<b>Ana</b>")
    here = page(Purpose.CONFIRM, links.make(Purpose.CONFIRM, letter.pk))
    shown = text_of(client.get(here))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; so" in shown
    assert "&lt;b&gt;Ana&lt;/b&gt;" in shown
    assert "<script>alert" not in shown
    assert "Souligner, dans les discours" in shown
    assert f'action="{here}"' in shown
    letter.refresh_from_db()
    assert letter.state == Letter.State.UNCONFIRMED

    answer = client.post(here, follow=True)
    assert answer.redirect_chain[0][1] == 302
    assert "Letter 1 to France" in text_of(answer)
    letter.refresh_from_db()
    assert letter.state == Letter.State.CONFIRMED


def test_a_used_link_is_gone_and_leads_to_my_letters(client, peace):
    letter = builders.unconfirmed(peace)
    here = page(Purpose.CONFIRM, links.make(Purpose.CONFIRM, letter.pk))
    client.post(here)
    for answer in (client.get(here), client.post(here)):
        assert answer.status_code == 410
        assert "/en/my/" in text_of(answer)
    assert Delivery.objects.filter(kind="letter").count() == 1


def test_not_me_deletes_and_says_so(client, peace):
    letter = builders.unconfirmed(peace, name="Grace Hopper")
    here = page(Purpose.REFUSE, links.make(Purpose.REFUSE, letter.pk))
    assert "This was not me" in text_of(client.get(here))
    answer = client.post(here)
    assert (answer.status_code, "is deleted" in text_of(answer)) == (200, True)
    assert client.post(here).status_code == 410
    letter.refresh_from_db()
    assert (letter.state, letter.signer_name) == (Letter.State.REFUSED, "")


@pytest.mark.parametrize("purpose", [Purpose.CONFIRM, Purpose.REFUSE])
@pytest.mark.parametrize("error", ["gone", "erased"])
def test_two_buttons_pressed_at_the_same_moment_are_no_error_of_ours(
    client, peace, monkeypatch, purpose, error
):
    letter = builders.unconfirmed(peace)
    found = signup.Gone(letter) if error == "gone" else Letter.DoesNotExist()
    monkeypatch.setattr(signup, purpose.key, mock.Mock(side_effect=found))
    assert client.post(page(purpose, links.make(purpose, letter.pk))).status_code == 410


def test_my_letters_tells_where_each_stands(client, peace):
    mine = [builders.confirmed(peace, email="g@people.example", country=code) for code in ("FR", "SN", "ES")]
    builders.sent(mine[0])
    signup.withdraw(mine[2].pk)
    builders.unconfirmed(peace, email="g+later@people.example", country="CL")
    shown = text_of(
        client.get(page(Purpose.MY_LETTERS, links.make(Purpose.MY_LETTERS, mine[0].supporter_id)))
    )
    for words in (
        ">sent<",
        "waits for a verified address",
        "withdrawn",
        "Chile",
        *(m.reference for m in mine),
    ):
        assert words in shown
    assert shown.count("/withdraw/") == 1
    assert f"/withdraw/{mine[1].pk}/" in shown


def test_my_letters_shows_the_words_of_the_one_asked_for(client, peace):
    mine = [builders.confirmed(peace, email="g@people.example", country=code) for code in ("FR", "ES")]
    here = page(Purpose.MY_LETTERS, links.make(Purpose.MY_LETTERS, mine[0].supporter_id))
    latest = text_of(client.get(here))
    assert ("El cambio climático" in latest, "Le changement climatique" in latest) == (True, False)
    chosen = text_of(client.get(here, {"letter": mine[0].reference}))
    assert ("El cambio climático" in chosen, "Le changement climatique" in chosen) == (False, True)


def test_my_letters_asks_as_much_for_twenty_as_for_one(client, peace, django_assert_num_queries):
    codes = list(builders.Office.objects.open().ministries().values_list("country", flat=True)[:20])

    def answered(code):
        letter = builders.confirmed(peace, email="g@people.example", country=code)
        mail = Incoming.objects.create(
            raw=b"x", sha256=code, fingerprint=code, size=1, door="pipe", kind="human_reply"
        )
        Filing.objects.create(incoming=mail, letter=letter, method="token", confidence=99, why="token")
        return letter

    supporter = answered(codes[0]).supporter_id
    here = page(Purpose.MY_LETTERS, links.make(Purpose.MY_LETTERS, supporter))
    with CaptureQueriesContext(connection) as for_one:
        client.get(here)
    for code in codes[1:]:
        answered(code)
    with django_assert_num_queries(len(for_one)):
        assert text_of(client.get(here)).count("What the ministry sent back") == 20


def test_withdrawing_from_my_letters(client, peace):
    letter, other = builders.confirmed(peace), builders.confirmed(peace)
    token = links.make(Purpose.MY_LETTERS, letter.supporter_id)

    def withdraw(number):
        return client.post(reverse("letters:withdraw", args=[token, number]), follow=True)

    assert "Your letter is withdrawn" in text_of(withdraw(letter.pk))
    assert builders.delivery_of(letter).state == State.WITHDRAWN
    assert withdraw(other.pk).status_code == 404
    assert withdraw(10**30).status_code == 404
    other.refresh_from_db()
    assert other.state == Letter.State.CONFIRMED


def test_a_letter_on_its_way_is_not_withdrawn(client, peace):
    letter = builders.confirmed(peace)
    builders.sent(letter)
    token = links.make(Purpose.MY_LETTERS, letter.supporter_id)
    answer = client.post(reverse("letters:withdraw", args=[token, letter.pk]), follow=True)
    assert "can no longer be withdrawn" in text_of(answer)
