"""Workers whose clocks are wrong by days go by the database's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from unittest import mock

import pytest
from django.core.mail import mailers
from django.utils import timezone

from campaign import environment
from letters.models import Delivery
from letters.models.clock import database_time
from letters.querysets import in_seconds
from letters.rules.ledger import State
from letters.sending import recovery, rounds, transport
from tests import builders
from tests.flows.stories import launched


@contextmanager
def wrong_clock(days: int) -> Iterator[None]:
    """This process believes that it is another day."""
    apart = timedelta(days=days)
    right, seconds = timezone.now, time.time
    with (
        mock.patch("django.utils.timezone.now", side_effect=lambda: right() + apart),
        mock.patch("time.time", side_effect=lambda: seconds() + apart.total_seconds()),
    ):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("days", [3, -3])
def test_a_worker_whose_clock_is_wrong_goes_by_the_databases(relay, settings, monkeypatch, tmp_path, days):
    monkeypatch.setenv("TEST_MAIL_URL", relay.url)
    settings.MAILERS = {alias: environment.mailer("TEST_MAIL_URL") for alias in mailers.settings}
    settings.JOURNAL_DIR = str(tmp_path)
    campaign = launched(4, countries=("FR", "BE", "ES", "KE"))
    due, later, leased, abandoned = Delivery.objects.filter(campaign=campaign).order_by("pk")
    one = Delivery.objects.filter
    one(pk=later.pk).update(due_at=in_seconds(3600))
    builders.force(one(pk=leased.pk), State.SUBMITTING, claimed_by="somebody", lease_until=in_seconds(60))
    builders.force(one(pk=abandoned.pk), State.SUBMITTING, claimed_by="nobody", lease_until=in_seconds(-1))
    try:
        with wrong_clock(days):
            assert rounds.send_due(0.5) == 1
            assert recovery.recover() == (0, 1)
    finally:
        transport.hang_up()
    assert dict(one(campaign=campaign).values_list("pk", "state")) == {
        due.pk: State.ACCEPTED,
        later.pk: State.WAITING,
        leased.pk: State.SUBMITTING,
        abandoned.pk: State.UNCERTAIN,
    }
    due.refresh_from_db()
    [(_, message)] = relay.accepted
    dated = parsedate_to_datetime(message_from_bytes(message)["Date"])
    assert abs(database_time() - due.finished_at) < timedelta(minutes=1)
    assert abs(database_time() - dated) < timedelta(minutes=1)
