"""What the tests of sending and intake share: a relay and the mailers that point to it."""

from collections.abc import Iterator

import pytest
from django.core.mail import mailers

from campaign import environment
from letters.sending import forms, transport
from tests.relay import Relay


@pytest.fixture(autouse=True)
def own_journal(settings, tmp_path) -> Iterator[None]:
    """Journals of this test alone, and no forms of the test before: its numbers come again."""
    settings.JOURNAL_DIR = str(tmp_path / "journal")
    forms.forget()
    yield
    transport.hang_up()


@pytest.fixture
def relay(settings, monkeypatch) -> Iterator[Relay]:
    """A relay that takes all mail of this test; its `faults` make it misbehave."""
    with Relay() as running:
        monkeypatch.setenv("TEST_MAIL_URL", running.url)
        settings.MAILERS = {alias: environment.mailer("TEST_MAIL_URL") for alias in mailers.settings}
        yield running
        transport.hang_up()
