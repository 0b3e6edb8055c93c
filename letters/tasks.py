"""Thin doors for Celery. Tasks take nothing, may run twice, anywhere, at any time."""

from celery import shared_task

from letters import filing, outbox, signup
from letters.sending import recovery, rounds

ROUND_SECONDS = 10.0  # short: a worker process serves every task in turn


@shared_task(name="letters.send_due")
def send_due() -> None:
    """Sends what is due."""
    rounds.send_due(ROUND_SECONDS)


@shared_task(name="letters.recover")
def recover() -> None:
    """Settles the rows of workers that went silent."""
    recovery.recover()


@shared_task(name="letters.release_held")
def release_held() -> None:
    """Lets go letters whose office has an address now."""
    outbox.release_held()


@shared_task(name="letters.file_incoming")
def file_incoming() -> None:
    """Reads and files what came in."""
    filing.file_new(ROUND_SECONDS)


@shared_task(name="letters.forget_unconfirmed")
def forget_unconfirmed() -> None:
    """Forgets letters that nobody confirmed."""
    signup.forget_unconfirmed()
