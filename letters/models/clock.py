"""The database's clock, and the shifts of workers kept by it. Workers' own clocks may be days wrong."""

from datetime import UTC, datetime

from django.db import connection, models
from django.db.models.functions import Now


class Shift(models.Model):
    """A place at work that one worker at a time can take, until a time by the database's clock."""

    name = models.CharField(max_length=40, unique=True)
    until = models.DateTimeField(db_default=Now())
    holder = models.CharField(max_length=32, blank=True)

    def __str__(self) -> str:
        return self.name


def database_time() -> datetime:
    """Now, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {now_sql()}", [])
        (now,) = cursor.fetchone()
    return now if isinstance(now, datetime) else datetime.fromisoformat(now).replace(tzinfo=UTC)


def now_sql() -> str:
    """The expression for now, in statements that are written by hand; the same that `Now()` makes."""
    if connection.vendor == "sqlite":
        return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"
    return "STATEMENT_TIMESTAMP()"
