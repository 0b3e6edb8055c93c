"""How far the sending has come in this database."""

from django.db import models


class Odometer(models.Model):
    """The one row that counts the rounds of sending, and names the database that they were counted in.

    It only goes forward: whoever remembers a higher number has known the database at a later time.
    """

    identity = models.CharField(max_length=32)
    rounds = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.identity} {self.rounds}"
