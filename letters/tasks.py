"""Thin doors for Celery. Tasks take nothing, may run twice, anywhere, at any time."""

from celery import shared_task
from django.conf import settings
from django.core.management import call_command

from letters import braking, filing, outbox, signup
from letters.sending import recovery, refitting, rounds, shifts

ROUND_SECONDS = 10.0  # short: a worker process serves every task in turn
SENDING_SECONDS = 20.0  # and what is on a line then still gets its answer: half a minute in all, as a rule


@shared_task(name="letters.send_due")
def send_due() -> None:
    """Sends what is due, in so many places at once as there are."""
    with shifts.shift("sending", places=settings.SEND_PLACES, seconds=settings.LEASE_SECONDS) as mine:
        if mine:
            rounds.send_due(SENDING_SECONDS, name=mine)


@shared_task(name="letters.recover")
def recover() -> None:
    """Settles the rows of workers that went silent, and ends letters that can no longer leave."""
    recovery.recover()
    outbox.close_overdue()


@shared_task(name="letters.release_held")
def release_held() -> None:
    """Lets go what waits for no reason any more: for an address, for its place, for a pace of yesterday."""
    outbox.release_held()
    outbox.post_stragglers()
    refitting.refit()


@shared_task(name="letters.brake")
def brake() -> None:
    """Pauses campaigns whose letters bounce, are complained of or cannot be written."""
    braking.watch()


@shared_task(name="letters.file_incoming")
def file_incoming() -> None:
    """Reads and files what came in, in one place at a time."""
    with shifts.shift("filing", places=1, seconds=settings.LEASE_SECONDS) as mine:
        if mine:
            filing.file_new(ROUND_SECONDS)


@shared_task(name="letters.forget_unconfirmed")
def forget_unconfirmed() -> None:
    """Forgets letters that nobody confirmed, and sessions that ended."""
    signup.forget_unconfirmed()
    call_command("clearsessions")
