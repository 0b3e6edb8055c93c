"""The Celery application: tasks are short, idempotent, and take ids or nothing."""

import gc
import os

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")

app = Celery("demarche")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def freeze(**named: object) -> None:
    """What is loaded before the processes part stays shared: the collector does not touch it any more."""
    gc.collect()
    gc.freeze()
