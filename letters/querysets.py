"""The vocabulary of sets: texts in use, letters by state, deliveries that are due or stuck."""

from datetime import timedelta
from typing import Any

from django.db import connection, models
from django.db.models import Count, F, Sum
from django.db.models.functions import Now

from letters.rules import ledger
from letters.rules.ledger import DUE, State


class TextQuerySet(models.QuerySet):
    """Texts, by what may be used."""

    def approved(self) -> "TextQuerySet":
        """Versions behind which two people stand; the newest of each is in use."""
        return self.filter(state="approved")

    def in_use(
        self, campaign: Any, *, language: str, country: str | None = None
    ) -> dict[tuple[str, str], Any]:
        """{(kind, key): text} in one language: newest approved, a country's own before the general one."""
        return self.newest(self.of(campaign, language), country=country)

    def of(self, campaign: Any, language: str) -> list[Any]:
        """The approved texts in one language: general ones first, each State's own after them, by version."""
        rows = self.approved().filter(campaign=campaign, language=language)
        return list(rows.order_by(F("country").asc(nulls_first=True), "version"))

    def newest(self, rows: list[Any], *, country: str | None) -> dict[tuple[str, str], Any]:
        """{(kind, key): text} of rows as `of` gives them: the last one that a State may get."""
        return {(row.kind, row.key): row for row in rows if row.country_id in (None, country)}


class LetterQuerySet(models.QuerySet):
    """Letters, by where they stand."""

    def confirmed(self) -> "LetterQuerySet":
        """Their senders confirmed them and did not withdraw."""
        return self.filter(state="confirmed")

    def unposted(self) -> "LetterQuerySet":
        """Confirmed, but with no row in the outbox yet."""
        return self.confirmed().exclude(deliveries__kind="letter")


class DeliveryQuerySet(models.QuerySet):
    """Deliveries, by what may happen to them next, and the one way in which their state changes."""

    def to(self, target: State, **values: Any) -> int:
        """Moves those to a state that the ledger's table lets go there; returns how many were moved."""
        if target in ledger.FINAL:
            values.setdefault("finished_at", Now())
        return super(DeliveryQuerySet, self.filter(state__in=ledger.sources(target))).update(
            state=target, **values
        )

    def update(self, **values: Any) -> int:
        """Refuses a change of state past the table: that is what `to` is for."""
        if "state" in values:
            raise TypeError("A delivery's state is changed with .to(), by the ledger's table.")
        return super().update(**values)

    def due(self) -> "DeliveryQuerySet":
        """Waiting or deferred, their time come by the database's clock, whatever their campaign does."""
        return self.filter(state__in=DUE, due_at__lte=Now())

    def letters(self) -> "DeliveryQuerySet":
        """Letters to offices."""
        return self.filter(kind="letter")

    def abandoned(self) -> "DeliveryQuerySet":
        """Being submitted by a worker whose lease has run out."""
        return self.filter(state=State.SUBMITTING, lease_until__lt=Now())

    def locked(self) -> "DeliveryQuerySet":
        """Locks the rows, passing over those that another worker holds (PostgreSQL).

        SQLite has no row locks: there a writing transaction is alone anyway.
        """
        if connection.features.has_select_for_update_skip_locked:
            return self.select_for_update(skip_locked=True, of=("self",))
        return self

    def by_state(self) -> dict[str, int]:
        """How many are in each state, every state named."""
        found = dict(self.order_by().values_list("state").annotate(Count("pk")))
        return {state.value: found.get(state.value, 0) for state in State}


def in_seconds(seconds: float) -> Any:
    """A time from now by the database's clock, for updates."""
    return Now() + timedelta(seconds=seconds)


def total(queryset: models.QuerySet, field: str) -> int:
    """The sum of a field, 0 for no rows."""
    return queryset.aggregate(total=Sum(field))["total"] or 0
