"""Whether database, broker and workers answer. Nothing here waits longer than three seconds."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import redis
from celery import Celery
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from campaign.checkup.findings import MINUTE, Finding, error, lasting, moment, warning, well
from letters.models import Campaign, Delivery, Shift
from letters.models.clock import database_time

SECONDS = 3  # that an answer may take
PING_SECONDS = 1.0  # workers answer when they like; so long is listened
CLOCKS_APART = 5  # seconds
WORKER, BEAT = "celery -A campaign worker", "celery -A campaign beat"


def database() -> Iterator[Finding]:
    """Whether it can be reached, by a connection of its own."""
    line = connection.copy()
    if line.vendor == "postgresql":
        hurry = {"pool": False, "connect_timeout": SECONDS, "tcp_user_timeout": SECONDS * 1000}
        line.settings_dict["OPTIONS"] |= hurry
    try:
        line.ensure_connection()
        yield well(f"{line.display_name} answers")
    except DatabaseTrouble as why:
        yield error(
            f"{line.display_name} does not answer: {why}", "start the database, or correct DATABASE_URL"
        )
    finally:
        line.close()


def migrations() -> Iterator[Finding]:
    """Whether the tables are those that this code knows."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{one.app_label}.{one.name}" for one, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
        yield error(f"not applied: {names}{more}", "manage.py migrate")
    else:
        yield well("all are applied")


@contextmanager
def hurried() -> Iterator[None]:
    """No statement to the database takes longer than SECONDS (PostgreSQL)."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{SECONDS}s'")
    try:
        yield
    finally:
        with suppress(DatabaseTrouble), connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")


def clocks() -> Iterator[Finding]:
    """Whether this machine and the database agree what time it is: links and logs go by ours."""
    before = timezone.now()
    theirs = database_time()
    ours = before + (timezone.now() - before) / 2
    apart = abs((ours - theirs).total_seconds())
    if apart > CLOCKS_APART:
        later = "ahead of" if ours > theirs else "behind"
        yield warning(
            f"this machine is {lasting(apart)} {later} the database", "set both clocks by NTP (timedatectl)"
        )
    else:
        yield well("this machine and the database agree")


def broker() -> Iterator[Finding]:
    """Whether Redis or Valkey answers."""
    where = urlsplit(settings.REDIS_URL).netloc.rpartition("@")[2]  # never the password
    hurry: dict[str, Any] = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **hurry) as line:
            line.ping()
        yield well(f"{where} answers")
    except (redis.RedisError, OSError, ValueError, OverflowError) as why:
        yield error(f"{where} does not answer: {why}", "start Redis or Valkey, or correct REDIS_URL")


def workers() -> Iterator[Finding]:
    """Whether a worker answers, and has processes left for what is not sending. Needs the broker."""
    app = Celery("doctor", set_as_current=False)  # not the project's: it is in less of a hurry
    app.config_from_object("django.conf:settings", namespace="CELERY")
    hurry = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **hurry}
    with app:
        answers = app.control.inspect(timeout=PING_SECONDS).stats() or {}
    if not answers:
        yield error("no worker answers", WORKER)
        return
    processes = sum(one.get("pool", {}).get("max-concurrency") or 1 for one in answers.values())
    names = ", ".join(sorted(answers)[:5])
    if processes <= settings.SEND_PLACES:
        yield warning(
            f"{processes} processes for SEND_PLACES={settings.SEND_PLACES}: while all of them send, answers"
            " wait to be filed",
            f"{WORKER} --concurrency {settings.SEND_PLACES + 1}",
        )
    else:
        yield well(f"{len(answers)} with {processes} processes: {names}")


def rounds() -> Iterator[Finding]:
    """Whether workers look for due mail: beat rings every two seconds, and a ring takes a place at work."""
    last = Shift.objects.filter(name__startswith="sending-").aggregate(last=Max("until"))["last"]
    now = database_time()
    silent = (now - last).total_seconds() if last else None
    if silent is not None and silent <= MINUTE:
        yield well("workers look for due mail")
        return
    what = "no worker has ever looked for due mail"
    if last:
        what = f"no worker has looked for due mail since {moment(last)}"
    mend = f"run both, {WORKER} and {BEAT}; where a worker answers, it is beat that is missing"
    if _something_to_do():
        yield error(f"{what}, and there is something to send", mend)
    else:
        yield warning(what, mend)


def _something_to_do() -> bool:
    mails = Delivery.objects.due().exclude(kind=Delivery.Kind.LETTER)
    return mails.exists() or Campaign.objects.filter(sending=Campaign.Sending.RUNNING).exists()
