"""The Django project and the top storey: what the campaign adds up to."""

from campaign.celery import app as celery_app

__all__ = ["celery_app"]
