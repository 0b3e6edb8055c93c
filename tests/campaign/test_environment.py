"""Settings from the environment: typed, and loud with the variable's name; no mail leaves by mistake."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import InvalidMailer, mailers, send_mail

from campaign import environment as env
from letters.sending.backends import LoopbackBackend, is_loopback

NAME = "SOME_SETTING"


@pytest.fixture
def given(monkeypatch):
    """Sets the variable under test."""
    return lambda value: monkeypatch.setenv(NAME, value)


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_variable_is_an_unset_one(given, value):
    given(value)
    assert env.text(NAME, "default") == "default"
    assert env.flag(NAME, default=True) is True
    assert env.integer(NAME, default=7) == 7
    assert env.site_url(NAME, default="https://x.example") == "https://x.example"


@pytest.mark.parametrize(
    ("value", "found"),
    [("1", True), ("TRUE", True), ("yes", True), ("on", True), ("0", False), ("no", False), ("Off", False)],
)
def test_yes_and_no_in_their_spellings(given, value, found):
    given(value)
    assert env.flag(NAME, default=not found) is found


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda: env.flag(NAME, default=False), "maybe"),
        (lambda: env.integer(NAME, default=1), "ten"),
        (lambda: env.integer(NAME, default=1), "1.5"),
        *((lambda: env.site_url(NAME, default=""), value) for value in (
            "letters.example.org", "ftp://x.example", "https://", "https://x.example/path", "//x.example",
        )),
        *((lambda: env.database(NAME, default=""), value) for value in (
            "mysql://x/y", "oracle://x/y", "nonsense", "nonsense://x",
        )),
        *((lambda: env.mailer(NAME), value) for value in (
            "mail.example.org", "http://x.example", "smtp://", "smtp://x.example:abc", "smtp://x.example:99999",
            "smtp://x.example?timeout=soon", "console://x",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_its_variable(given, read, value):
    given(value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        read()


@pytest.mark.parametrize("value", ["", "X-Letter-ID", "x", "X-" + 58 * "a", "X_Brief!Nr", "Contents"])
def test_a_header_of_our_own_choice(given, value):
    given(value)
    assert env.header(NAME) == value


@pytest.mark.parametrize(
    "value",
    [
        "X-Letter-ID:", "X Letter", "X-Letter\nBcc", "X\tY", "X-Numéro", "X-" + 59 * "a", ":",
        "From", "to", "Reply-To", "SUBJECT", "Date", "Message-ID", "mime-version", "Content-Type",
        "content-whatever",
    ],
)  # fmt: skip
def test_what_is_no_header_or_one_that_letters_have_is_refused(given, value):
    given(value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        env.header(NAME)


MAILER_WITH_TIMEOUT_20 = [
    "smtp://mail.example?timeout=20",
    "anymail+brevo://?api_key=hush&timeout=20",
    "anymail+amazon-ses://?region_name=eu-west-1&timeout=20",
]


@pytest.mark.parametrize("url", MAILER_WITH_TIMEOUT_20)
def test_a_lease_outlasts_what_a_relay_may_take_to_answer(monkeypatch, url):
    monkeypatch.setenv("ONE_MAIL_URL", "loopback://127.0.0.1:1025?timeout=2")
    monkeypatch.setenv("OTHER_MAIL_URL", url)
    mailers = {name: env.mailer(name) for name in ("ONE_MAIL_URL", "OTHER_MAIL_URL")}
    monkeypatch.setenv(NAME, "30")
    assert env.lease(NAME, 75, mailers) == 30
    monkeypatch.setenv(NAME, "29")
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} must be at least 30: .*OTHER_MAIL_URL") as raised:
        env.lease(NAME, 75, mailers)
    assert "hush" not in str(raised.value)


def test_on_this_machine_any_lease_will_do(monkeypatch, given):
    monkeypatch.setenv("ONE_MAIL_URL", "loopback://127.0.0.1:1025?timeout=60")
    given("5")
    assert env.lease(NAME, 75, {"ONE_MAIL_URL": env.mailer("ONE_MAIL_URL")}) == 5


def test_a_site_address_loses_its_last_slash(given):
    given("https://letters.example.org/")
    assert env.site_url(NAME, default="") == "https://letters.example.org"


@pytest.mark.parametrize(
    ("url", "backend", "options"),
    [
        (None, env.LOOPBACK_BACKEND, {"host": "127.0.0.1", "port": 1025, "timeout": 30}),
        (
            "loopback://127.0.0.1:2525",
            env.LOOPBACK_BACKEND,
            {"host": "127.0.0.1", "port": 2525, "timeout": 30},
        ),
        (
            "smtp://us%40er:p%3Aw@mail.example",
            env.SMTP_BACKEND,
            {"host": "mail.example", "port": 587, "timeout": 30, "use_tls": True}
            | {"username": "us@er", "password": "p:w"},
        ),
        (
            "smtps://mail.example",
            env.SMTP_BACKEND,
            {"host": "mail.example", "port": 465, "timeout": 30, "use_ssl": True},
        ),
        (
            "smtp+plain://relay.example:26?timeout=5",
            env.SMTP_BACKEND,
            {"host": "relay.example", "port": 26, "timeout": 5},
        ),
    ],
)
def test_a_mail_url_says_all_and_always_has_a_timeout(monkeypatch, url, backend, options):
    monkeypatch.setenv(NAME, url) if url else monkeypatch.delenv(NAME, raising=False)
    assert env.mailer(NAME) == {"BACKEND": backend, "OPTIONS": options}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("anymail+postmark://?server_token=a%26b+c", {"server_token": "a&b+c", "timeout": 30}),
        (
            "anymail+mailgun://?api_key=k&sender_domain=mg.x.example&timeout=7",
            {"api_key": "k", "sender_domain": "mg.x.example", "timeout": 7},
        ),
        (
            "anymail+unisender-go://?api_key=k&api_url=https://go1.x.example/",
            {"api_key": "k", "api_url": "https://go1.x.example/", "timeout": 30},
        ),
        (
            "anymail+brevo://?api_key=k&api_url=http://127.0.0.1:8080/",
            {"api_key": "k", "api_url": "http://127.0.0.1:8080/", "timeout": 30},
        ),
    ],
)
def test_a_provider_is_named_with_its_options(given, url, options):
    given(url)
    found = env.mailer(NAME)
    name = url.partition("://")[0].removeprefix("anymail+").replace("-", "_")
    assert found["BACKEND"] == f"anymail.backends.{name}.EmailBackend"
    assert found["OPTIONS"] == options | {"ignore_unsupported_features": True}


@pytest.mark.parametrize("provider", sorted(env.PROVIDERS.keys() - {"amazon_ses"}))
@pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid")
def test_every_provider_makes_a_mailer_of_just_what_it_needs(given, settings, provider):
    needed, possible = env.PROVIDERS[provider]
    options = dict.fromkeys(needed | possible, "7") | {"api_url": "https://api.x.example/"}
    given(f"anymail+{provider}://?" + "&".join(f"{option}={value}" for option, value in options.items()))
    settings.MAILERS = {"default": env.mailer(NAME)}
    assert mailers["default"].timeout == 30


def test_amazon_is_told_never_to_repeat_a_request(given):
    given("anymail+amazon-ses://?region_name=eu-west-1&configuration_set_name=letters&timeout=9")
    options = env.mailer(NAME)["OPTIONS"]
    assert options["configuration_set_name"] == "letters"
    assert options["client_params"] == {
        "region_name": "eu-west-1",
        "config": {"connect_timeout": 9, "read_timeout": 9, "retries": {"total_max_attempts": 1}},
    }


@pytest.mark.parametrize(
    "url",
    [
        "anymail+nobody://?api_key=hush",
        "anymail+test://",
        "anymail+postmark://hush",
        "anymail+postmark://user:hush@host/?server_token=hush",
        "anymail+postmark://?hush",
        "anymail+postmark://?hush=1&server_token=x",
        "anymail+postmark://?server_token=",
        "anymail+mailjet://?api_key=hush",
        "anymail+brevo://?api_key=hush&timeout=hush",
        "anymail+brevo://?api_key=hush&timeout=0",
        "anymail+brevo://?api_key=hush&api_url=http://api.x.example/",
        "anymail+brevo://?api_key=hush&api_url=hush",
        "anymail+brevo://?api_key=hush&debug_api_requests=1",
    ],
)
def test_a_provider_that_cannot_be_read_names_the_variable_and_no_secret(given, url):
    given(url)
    with pytest.raises(ImproperlyConfigured, match=NAME) as raised:
        env.mailer(NAME)
    assert "hush" not in str(raised.value)


def test_webhooks_are_proven_by_what_the_environment_says(monkeypatch):
    assert env.webhooks() == {}
    monkeypatch.setenv("ANYMAIL_WEBHOOK_SECRET", "provider:long-enough-for-that")
    monkeypatch.setenv("ANYMAIL_MAILGUN_WEBHOOK_SIGNING_KEY", "key")
    monkeypatch.setenv("ANYMAIL_DEBUG_API_REQUESTS", "yes")
    assert env.webhooks() == {
        "WEBHOOK_SECRET": "provider:long-enough-for-that",
        "MAILGUN_WEBHOOK_SIGNING_KEY": "key",
    }


@pytest.mark.parametrize("secret", ["hush", "hush:", ":hush-hush-hush-hush", "hush:hush-too-short"])
def test_a_weak_secret_for_webhooks_is_refused(monkeypatch, secret):
    monkeypatch.setenv("ANYMAIL_WEBHOOK_SECRET", secret)
    with pytest.raises(ImproperlyConfigured, match="ANYMAIL_WEBHOOK_SECRET") as raised:
        env.webhooks()
    assert "hush" not in str(raised.value)


def test_databases_are_opened_for_several_processes(given):
    given("sqlite:////tmp/x.sqlite3")
    lite = env.database(NAME, default="")["OPTIONS"]
    assert (lite["transaction_mode"], lite["timeout"]) == ("IMMEDIATE", 30)
    assert "journal_mode=WAL" in lite["init_command"]
    given("postgres://user:secret@db.example/demarche")
    great = env.database(NAME, default="")
    assert great["HOST"] == "db.example"
    assert great["OPTIONS"]["pool"]["timeout"] > 0


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("mail.example.org", False), ("10.0.0.1", False), ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False), ("", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_this_machine(host, ours):
    assert is_loopback(host) is ours
    if not ours:
        with pytest.raises(InvalidMailer, match="configure a transport"):
            LoopbackBackend(host=host)


def test_without_configuration_no_mail_leaves_the_machine(settings, monkeypatch):
    for name in ("MAIL_URL", "SUPPORTERS_MAIL_URL", "LETTERS_MAIL_URL"):
        monkeypatch.delenv(name, raising=False)
        assert env.mailer(name)["BACKEND"] == env.LOOPBACK_BACKEND
    strange = env.mailer("MAIL_URL") | {"OPTIONS": {"host": "mail.example.org", "timeout": 1}}
    settings.MAILERS = {"default": strange}
    with pytest.raises(InvalidMailer):
        send_mail("Subject", "Text", "a@b.example", ["victim@people.example"])
