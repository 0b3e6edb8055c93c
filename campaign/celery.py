"""The Celery application: tasks are short, idempotent, and take ids or nothing."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun, worker_init, worker_shutting_down
from django.db import close_old_connections
from kombu.transport import redis

from letters.sending import leaving

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")

app = Celery("demarche")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def freeze(**named: Any) -> None:
    """What is loaded before the processes part stays shared: the collector does not touch it any more."""
    leaving.forget()
    gc.collect()
    gc.freeze()


@worker_shutting_down.connect
def leave(**named: Any) -> None:
    """Asked to end, a worker finishes what is on the lines and begins nothing: a deployment waits for it."""
    leaving.tell()


@task_prerun.connect
@task_postrun.connect
def mend(**named: Any) -> None:
    """Lets go of a connection to the database that is broken: Celery would keep it for DB_REUSE_MAX tasks."""
    close_old_connections()


class Channel(redis.Channel):
    """Says that its connection is gone in a way that Celery expects.

    kombu 5.7 raises AttributeError when a broker goes away while tasks run, and of that the worker dies.
    """

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to the broker is gone")
        return super()._connparams(asynchronous)


class Transport(redis.Transport):
    """Valkey or Redis, through such channels."""

    Channel = Channel
