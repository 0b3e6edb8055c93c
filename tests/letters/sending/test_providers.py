"""Letters by providers' APIs: what is handed over, and when."""

import json

import pytest
from django.core import mail as outbox
from django.core.mail import InvalidMailer
from hypothesis import example, given
from hypothesis import strategies as st

from letters.sending import providers
from letters.sending.jobs import Verdict
from letters.sending.mime import mailbox, one_line
from tests.provider import YES, Answer, Provider, job


@pytest.mark.parametrize("name", YES)
@pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid")
def test_every_provider_takes_a_letter_and_gives_its_number(offer, name):
    body, headers, number = YES[name]
    asked, [result] = offer(name, Answer(body=body, headers=headers))
    assert result.verdict is Verdict.TAKEN
    assert result.provider_id == number if number else len(result.provider_id) == 36
    assert len(asked) == 1
    assert "cabinet@mfa.fr.example" in asked[0].body.replace("%40", "@")
    assert "lettre+1" in asked[0].body or "lettre 1" in asked[0].body
    assert "secret" not in result.words


def test_a_letter_arrives_as_it_was_written(offer):
    asked, _ = offer("postmark", Answer(body=YES["postmark"][0]))
    [said] = asked[0].json
    assert said["From"] == "Amélie Dupont <peace@replies.example>"
    assert (said["To"], said["ReplyTo"]) == ("cabinet@mfa.fr.example", "r1@replies.example")
    assert (said["Subject"], said["TextBody"]) == ("Paix", "Monsieur,\nlettre 1\n")
    assert said["HtmlBody"] == "<p>lettre 1</p>"
    assert {one["Name"]: one["Value"] for one in said["Headers"]} == {
        "Message-ID": "<1@replies.example>",
        "Content-Language": "fr",
        "Auto-Submitted": "auto-generated",
        "X-PM-KeepID": "true",
    }
    assert said["Metadata"] == {"delivery": "1"}
    assert (said["TrackOpens"], said["TrackLinks"]) == (False, "None")
    assert asked[0].headers["X-Postmark-Server-Token"] == "secret"


@given(st.text(max_size=80))
@example("Dupont, Amélie")
@example('Smith "Jo" O\'Neil (x); <a@b>, c@d')
@example("=?utf-8?q?not_encoded?=")
@example("Ωμέγα " * 12)
@example("\\")
def test_a_name_is_the_same_after_its_way_through_a_header(name):
    try:
        header = mailbox(name, "a@x.example")
    except UnicodeEncodeError:
        return  # a lone surrogate: not written at all
    found = providers._mailbox(header)
    assert (" ".join(found.display_name.split()), found.addr_spec) == (one_line(name), "a@x.example")


def test_encoded_subjects_are_read_and_long_ones_unfolded():
    folded = "=?utf-8?q?Une_tr=C3=A8s_longue?=\r\n =?utf-8?q?_lettre?="
    assert providers.message(job(subject=folded)).subject == "Une très longue lettre"


def test_no_header_brings_another_one_and_no_text_a_control_character():
    made = providers.message(
        job(subject="Paix\r\nBcc: x@y.example", text="a\x00b\x1bc", extra=(("X", "1\r\nY: 2"),))
    )
    assert made.subject == "Paix Bcc: x@y.example"
    assert made.body == "abc"
    assert made.extra_headers["X"] == "1 Y: 2"


def test_a_copy_goes_to_its_own_recipient():
    copied = job(recipient="cabinet@mfa.fr.example")
    copied.recipient = "mission@un.fr.example"
    assert providers.message(copied).to == ["mission@un.fr.example"]


def test_headers_that_a_provider_refuses_are_left_out_and_the_letter_goes(offer):
    asked, _ = offer("mailjet", Answer(body=YES["mailjet"][0]))
    headers = asked[0].json["Globals"]["Headers"]
    assert "Message-ID" not in headers
    assert headers["Content-Language"] == "fr"
    asked, _ = offer("mailersend", Answer(headers=YES["mailersend"][1]))
    assert "headers" not in asked[0].json
    assert asked[0].json["reply_to"] == {"email": "r1@replies.example"}


def test_what_cannot_be_written_fails_alone_and_nothing_is_sent_for_it(use):
    with Provider(Answer(body=[YES["postmark"][0][0]] * 2)) as provider:
        use("postmark", provider.url)
        jobs = [job(1), job(2, text="\ud800"), job(3, recipient="nobody"), job(4)]
        found = {one.number: result for one, result in providers.submit("letters", jobs)}
    assert {number: result.verdict.value for number, result in found.items()} == {
        1: "taken", 2: "refused", 3: "refused", 4: "taken",
    }  # fmt: skip
    assert "cannot be written" in found[2].words
    assert len(provider.asked[0].json) == 2


def test_smtp_is_ours_and_everything_else_a_provider(settings):
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    settings.MAILERS = {
        "default": {},
        "smtp": {"BACKEND": smtp},
        "loopback": {"BACKEND": "letters.sending.backends.LoopbackBackend"},
        "console": {"BACKEND": "django.core.mail.backends.console.EmailBackend"},
        "mailgun": {"BACKEND": "anymail.backends.mailgun.EmailBackend"},
    }
    found = {alias for alias in settings.MAILERS if providers.is_provider(alias)}
    assert found == {"console", "mailgun"}


@pytest.mark.parametrize("backend", ["django.core.mail.backends.locmem", "anymail.backends.test"])
def test_any_mailer_of_django_will_do(settings, backend):
    settings.MAILERS = settings.MAILERS | {"letters": {"BACKEND": f"{backend}.EmailBackend"}}
    [(_, result)] = providers.submit("letters", [job()])
    assert result.verdict is Verdict.TAKEN
    [sent] = outbox.outbox
    assert sent.extra_headers["Message-ID"] == "<1@replies.example>"
    assert json.dumps(sent.metadata) == '{"delivery": "1"}'


class Silent:
    """A mailer that is not Anymail's, and what it does with mail."""

    does: object = 0

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send_messages(self, messages: list) -> object:
        if isinstance(self.does, Exception):
            raise self.does
        return self.does


@pytest.mark.parametrize("does", [0, None, OSError("broken pipe"), ValueError("?")])
def test_a_mailer_that_does_not_say_yes_leaves_a_doubt(settings, monkeypatch, does):
    monkeypatch.setattr(Silent, "does", does)
    settings.MAILERS = settings.MAILERS | {"letters": {"BACKEND": f"{__name__}.Silent"}}
    [(_, result)] = providers.submit("letters", [job()])
    assert result.verdict is Verdict.DOUBT


def test_a_mailer_that_cannot_be_made_is_said_before_anything_is_offered(settings):
    settings.MAILERS = settings.MAILERS | {
        "letters": {"BACKEND": "anymail.backends.mailgun.EmailBackend", "OPTIONS": {"api_kee": "secret"}}
    }
    with pytest.raises(InvalidMailer) as raised:
        next(providers.submit("letters", [job()]))
    assert "secret" not in str(raised.value)
