"""Whatever is typed into the form: a clear error or clean text, and a mail with nobody else's headers."""

import email
import email.policy

import pytest
from django.urls import reverse

from letters import lifecycle
from letters.forms import WORDS_AT_MOST
from letters.models import Delivery, Letter
from letters.signup import confirm
from tests import builders

pytestmark = pytest.mark.django_db
BREAKS = ["\r\n", "\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x00", "\x1b"]
INJECTION = "Ana{}Bcc: victim@evil.example"
ENCODED = [
    "=?utf-8?q?Ana=0d=0aBcc:_victim@evil.example?=",
    "=?utf-8?b?QW5hDQpCY2M6IHZpY3RpbUBldmlsLmV4YW1wbGU=?=",
    "Ana%0d%0aBcc: victim@evil.example",
    "Ana\\r\\nBcc: victim@evil.example",
    'Ana" <victim@evil.example>, "Bo',
    "Ana, victim@evil.example",
    "Ana <victim@evil.example>",
    "Ana; To: victim@evil.example",
    "(Ana) é =?utf-8?q?=0aTo:_victim@evil.example?= é",
]
STRANGE = ["😀" * 100, "👨‍👩‍👧‍👦" * 14, "é" * 100, "W" * 100, "Ω " * 50, "مرحبا بالعالم", "Z͑ͫ̓ͪ̂a̴l̷g̀o"]
HEADERS = {"From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Content-Language", "MIME-Version",
           "Content-Type", "Auto-Submitted"}  # fmt: skip
COLUMNS = [("name", "signer_name", 100), ("city", "city", 80), ("organisation", "organisation", 120)]
TYPED = ("name", "city", "organisation", "email", "own_words", "country", "lives_in", "asks", "news")


@pytest.fixture
def peace():
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    lifecycle.launch(row, by="ana")
    return row


def sign(client, **changes):
    return client.post(reverse("letters:write", args=["peace"]), builders.form_data(**changes))


def mails_of(letter):
    """Both mails that one sign-up brings about, as they would travel."""
    yield builders.written(Delivery.objects.get(letter=letter, kind=Delivery.Kind.CONFIRMATION))
    confirm(letter.pk)
    yield builders.written(builders.sent(letter))


def only_our_headers(raw):
    head = raw.split(b"\r\n\r\n")[0]
    lines = [line for line in head.split(b"\r\n") if line[:1] not in {b" ", b"\t"}]
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    names = [line.split(b":")[0].decode() for line in lines]
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert set(names) <= HEADERS
    assert len(names) == len(set(names))
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    assert len(message["To"].addresses) == len(message["From"].addresses) == 1
    assert message["To"].addresses[0].addr_spec.endswith((".example",))
    assert "evil" not in message["To"].addresses[0].addr_spec + message["From"].addresses[0].addr_spec
    return message


@pytest.mark.parametrize("field", TYPED)
def test_a_line_break_in_any_field_brings_no_header(client, peace, field):
    for line_break in BREAKS:
        typed = INJECTION.format(line_break)
        answer = sign(client, **{field: [typed] if field in {"asks", "news"} else typed})
        if field == "own_words" and line_break != "\x00":
            assert answer.status_code == 302, ascii(line_break)
            confirmation, letter = map(only_our_headers, mails_of(Letter.objects.first()))
            assert "victim" not in confirmation.as_string()
            assert "Bcc: victim@evil.example" in letter.get_body(("plain",)).get_content()
        else:
            assert answer.status_code == 200, ascii(line_break)
            assert f'href="#id_{field}"' in answer.content.decode()
            assert field == "own_words" or not Letter.objects.exists()


@pytest.mark.parametrize("typed", ENCODED + STRANGE)
def test_what_looks_like_a_header_stays_a_name(client, peace, typed):
    for field, column, most in COLUMNS:
        expected = " ".join(typed[:most].split())
        assert sign(client, **{field: typed[:most]}).status_code == 302
        letter = Letter.objects.first()
        assert getattr(letter, column) == expected
        confirmation, sent = map(only_our_headers, mails_of(letter))
        assert expected in sent.get_body(("plain",)).get_content()
        assert "victim" not in confirmation.as_string() + confirmation.get_body(("plain",)).get_content()


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\x85", "\u2028", " "], ids=ascii)
def test_a_break_after_the_last_letter_is_trimmed(client, peace, line_break):
    assert sign(client, name=f"Ana{line_break}", email=f"ana@people.example{line_break}").status_code == 302
    letter = Letter.objects.get()
    assert (letter.signer_name, letter.signer_email) == ("Ana", "ana@people.example")


@pytest.mark.parametrize("control", ["\u202e", "\u202d", "\u2066", "\u2067"], ids=ascii)
def test_what_turns_the_text_after_it_is_taken_out_of_names(client, peace, control):
    sign(client, name=f"Ana {control}moc.live", city=f"{control}Lyon", organisation=f"Navy{control}")
    letter = Letter.objects.get()
    assert (letter.signer_name, letter.city, letter.organisation) == ("Ana moc.live", "Lyon", "Navy")


def test_half_a_character_is_no_error_of_ours(client, peace):
    for field in ("name", "own_words", "city", "email", "country"):
        typed = builders.form_data()
        body = "&".join(
            f"{key}={value}" for key, value in (typed | {"asks": "speeches"}).items() if key != field
        )
        answer = client.post(
            reverse("letters:write", args=["peace"]),
            f"{body}&{field}=a%ED%A0%80b%FF",
            content_type="application/x-www-form-urlencoded",
        )
        assert answer.status_code in {200, 302}
    for letter in Letter.objects.all():
        for raw in mails_of(letter):
            only_our_headers(raw)


def test_control_characters_in_own_words_vanish_and_the_words_stay(client, peace):
    sign(client, own_words="One\x07 two\x1b[31m\r\n\r\n\r\nthree\ttabs\u2028end")
    letter = Letter.objects.get()
    assert letter.own_words == "One two[31m\r\n\r\n\r\nthree\ttabs\u2028end"


@pytest.mark.parametrize(
    ("field", "most"), [("name", 100), ("city", 80), ("organisation", 120), ("own_words", WORDS_AT_MOST)]
)
def test_the_longest_that_fits_is_taken_and_one_more_is_said(client, peace, field, most):
    assert sign(client, **{field: "😀" * (most + 1)}).status_code == 200
    assert sign(client, **{field: "😀" * most}).status_code == 302
    for raw in mails_of(Letter.objects.get()):
        only_our_headers(raw)


def test_nothing_that_the_sender_typed_is_in_the_confirmation(client, peace):
    secret = {
        "name": "Visit http://evil.example", "city": "Evilton", "organisation": "Evil Corp",
        "own_words": "You have won a prize",
    }  # fmt: skip
    sign(client, **secret, include_email="on", email="ana.lima@people.example", lives_in="AD")
    raw = builders.written(Delivery.objects.get())
    message = only_our_headers(raw)
    parts = [message.get_body((kind,)).get_content() for kind in ("plain", "html")]
    for part in [*parts, message["Subject"], message["From"]]:
        for typed in (*secret.values(), "ana.lima", "Andor"):
            assert typed not in str(part)
    assert message["Auto-Submitted"] == "auto-generated"
    assert "/en/confirm/" in parts[0]
    assert "/en/confirm/" in parts[1]


@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_the_confirmation_speaks_the_language_of_the_page(client, peace, language):
    client.post(f"/{language}/peace/write/", builders.form_data())
    message = only_our_headers(builders.written(Delivery.objects.get()))
    assert message["Content-Language"] == language
    assert f"/{language}/confirm/" in message.get_body(("plain",)).get_content()


def test_the_letter_goes_from_the_campaigns_own_domain_with_the_senders_name(client, peace, settings):
    sign(client, name="Inés Müller", own_words="{{ country.of }} {% now %}", include_email="")
    letter = Letter.objects.get()
    _, raw = mails_of(letter)
    message = only_our_headers(raw)
    sender = message["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == ("Inés Müller", f"peace@{settings.REPLY_DOMAIN}")
    assert message["Reply-To"].addresses[0].addr_spec == f"r-{letter.reply_token}@{settings.REPLY_DOMAIN}"
    text = message.get_body(("plain",)).get_content()
    assert "{{ country.of }} {% now %}" in text
    assert letter.signer_email not in raw.decode()
    assert message["To"].addresses[0].addr_spec == "cabinet@mfa.fr.example"


@pytest.mark.parametrize("allowed", [True, False])
def test_the_senders_address_stands_in_the_letter_only_if_they_say_so(client, peace, allowed):
    sign(client, email="ana.lima@people.example", include_email="on" if allowed else "")
    _, raw = mails_of(Letter.objects.get())
    assert ("ana.lima@people.example" in only_our_headers(raw).get_body(("plain",)).get_content()) == allowed
