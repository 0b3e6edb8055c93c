"""What the settings promise, whatever the environment says."""

import importlib

import pytest
from django.conf import settings as configured
from django.core.exceptions import ImproperlyConfigured

from campaign import settings as ours
from letters import tasks


@pytest.fixture
def loaded(monkeypatch):
    """The settings as another environment would make them."""

    def load(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return importlib.reload(ours)

    yield load
    monkeypatch.undo()
    importlib.reload(ours)


PRODUCTION = {
    "SITE_URL": "https://letters.example.org",
    "SECRET_KEY": "k" * 60,
    "REPLY_DOMAIN": "replies.example.org",
}


def test_away_from_this_machine_the_sample_key_is_refused(loaded):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        loaded(SITE_URL="https://letters.example.org", SECRET_KEY="")


def test_in_production_only_its_own_host_is_answered_and_only_by_https(loaded):
    found = loaded(**PRODUCTION)
    assert found.ALLOWED_HOSTS == ["letters.example.org"]
    assert found.SECURE_SSL_REDIRECT
    assert found.SECURE_HSTS_SECONDS > 31_000_000
    assert found.SESSION_COOKIE_SECURE
    assert found.CSRF_COOKIE_SECURE
    assert not found.DEBUG


def test_nothing_is_debugged_unless_asked_for(loaded):
    assert loaded(DEBUG="").DEBUG is False
    with pytest.raises(ImproperlyConfigured, match="DEBUG"):
        loaded(DEBUG="perhaps")


def test_each_kind_of_mail_has_a_transport_of_its_own_with_a_timeout(loaded):
    found = loaded(**PRODUCTION, LETTERS_MAIL_URL="smtps://letters.example.org").MAILERS
    assert set(found) == {"default", "supporters", "letters"}
    assert found["letters"]["OPTIONS"]["host"] == "letters.example.org"
    assert found["supporters"]["BACKEND"].endswith("LoopbackBackend")
    assert all(mailer["OPTIONS"]["timeout"] for mailer in found.values())


@pytest.mark.parametrize("name", ["SECRET_KEY", "REPLY_DOMAIN"])
def test_real_mail_is_refused_with_sample_values(loaded, name):
    with pytest.raises(ImproperlyConfigured, match=name):
        loaded(**(PRODUCTION | {name: ""}), LETTERS_MAIL_URL="smtps://letters.example.org")


def test_a_provider_needs_a_secret_for_its_webhooks(loaded):
    provider = {"SUPPORTERS_MAIL_URL": "anymail+postmark://?server_token=hush"}
    with pytest.raises(ImproperlyConfigured, match="ANYMAIL_WEBHOOK_SECRET"):
        loaded(**PRODUCTION, **provider, ANYMAIL_WEBHOOK_SECRET="")
    found = loaded(**PRODUCTION, **provider, ANYMAIL_WEBHOOK_SECRET="provider:long-enough-for-that")
    assert found.ANYMAIL["WEBHOOK_SECRET"] == "provider:long-enough-for-that"


def test_a_lease_shorter_than_a_relays_timeout_is_refused(loaded):
    relay = {"LETTERS_MAIL_URL": "smtps://letters.example.org?timeout=70"}
    with pytest.raises(ImproperlyConfigured, match=r"LEASE_SECONDS.*LETTERS_MAIL_URL"):
        loaded(**PRODUCTION, **relay)
    assert loaded(**PRODUCTION, **relay, LEASE_SECONDS="80").LEASE_SECONDS == 80


def test_the_header_for_the_letters_number_is_looked_at(loaded):
    assert loaded(LETTER_ID_HEADER="X-Letter-ID").LETTER_ID_HEADER == "X-Letter-ID"
    with pytest.raises(ImproperlyConfigured, match="LETTER_ID_HEADER"):
        loaded(LETTER_ID_HEADER="Subject")


def test_no_ring_compares_the_clocks_of_two_machines():
    assert not [ring for ring in configured.CELERY_BEAT_SCHEDULE.values() if "expires" in str(ring)]


def test_every_ring_has_somebody_who_hears_it():
    heard = {getattr(tasks, name).name for name in dir(tasks) if hasattr(getattr(tasks, name), "delay")}
    assert {ring["task"] for ring in configured.CELERY_BEAT_SCHEDULE.values()} == heard
