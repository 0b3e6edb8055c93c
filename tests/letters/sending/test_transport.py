"""No mail can leave the machine until somebody configures a transport."""

import pytest
from django.core.mail import InvalidMailer, mailers

from campaign import environment
from letters.models import Delivery
from letters.sending import transport


def configured(settings, monkeypatch, url: str) -> None:
    monkeypatch.setenv("TEST_MAIL_URL", url)
    settings.MAILERS = {alias: environment.mailer("TEST_MAIL_URL") for alias in mailers.settings}


@pytest.mark.parametrize(
    "host", ["mail.example.org", "10.0.0.1", "192.0.2.1", "[2001:db8::1]", "localhost.example"]
)
def test_the_loopback_mailer_goes_nowhere_else(settings, monkeypatch, host):
    configured(settings, monkeypatch, f"loopback://{host}:25")
    with pytest.raises(InvalidMailer):
        transport.relay_of("letters")
    with pytest.raises(InvalidMailer):
        mailers["letters"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_this_machine_is_allowed(settings, monkeypatch, host):
    configured(settings, monkeypatch, f"loopback://{host}:2525")
    assert transport.relay_of("letters").port == 2525


def test_a_configured_relay_keeps_its_secrets_and_its_tls(settings, monkeypatch):
    configured(settings, monkeypatch, "smtp://user%40x:p%2Fw@mail.example.org?timeout=7")
    relay = transport.relay_of("letters")
    assert (relay.host, relay.port, relay.use_tls, relay.use_ssl) == ("mail.example.org", 587, True, False)
    assert (relay.username, relay.password, relay.timeout) == ("user@x", "p/w", 7.0)


def test_letters_and_supporters_have_lines_of_their_own(settings, monkeypatch):
    configured(settings, monkeypatch, "loopback://127.0.0.1:2525")
    lines = transport.lines()
    assert lines.counter("letters") is lines.counter("letters")
    assert lines.counter("letters") is not lines.counter("supporters")


def test_a_changed_setting_takes_effect(settings, monkeypatch):
    configured(settings, monkeypatch, "loopback://127.0.0.1:2525")
    before = transport.lines().counter("letters")
    configured(settings, monkeypatch, "loopback://127.0.0.1:2526")
    assert transport.lines().counter("letters") is not before


def test_every_kind_of_mail_has_a_mailer():
    assert set(transport.MAILER) == set(Delivery.Kind)
    assert set(transport.MAILER.values()) == set(transport.ALIASES)
