"""The database's clock, and the shifts of workers kept by it."""

from datetime import datetime

from django.db import models
from django.db.models.functions import Now


class Shift(models.Model):
    """A place at work that one worker at a time can take, until a time by the database's clock.

    Also where that clock is read: workers' own clocks may be days wrong.
    """

    name = models.CharField(max_length=40, unique=True)
    until = models.DateTimeField(db_default=Now())
    holder = models.CharField(max_length=32, blank=True)

    def __str__(self) -> str:
        return self.name


def database_time() -> datetime:
    """Now, by the database's clock."""
    row = Shift.objects.get_or_create(name="clock")[0]
    return Shift.objects.filter(pk=row.pk).values_list(
        models.ExpressionWrapper(Now(), models.DateTimeField())
    )[0][0]
