"""The vocabulary of sets: whom we can reach, what is open, what holds today."""

from datetime import date
from typing import Any

from django.db import models


class OfficeQuerySet(models.QuerySet):
    """Offices, by whether letters can go to them."""

    def open(self) -> "OfficeQuerySet":
        """Not switched off, nor their State."""
        return self.filter(state="open", country__enabled=True)

    def sendable(self) -> "OfficeQuerySet":
        """Open, with an address whose source and date are known."""
        return self.open().exclude(email="")

    def ministries(self) -> "OfficeQuerySet":
        """The ministry of each State (not its missions)."""
        return self.filter(kind="ministry", label="")


class CountryPhrasesQuerySet(models.QuerySet):
    """Phrases, by language and day."""

    def on(self, day: date, language: str) -> dict[str, Any]:
        """Phrases of each State valid on a day: {country code: CountryPhrases}."""
        rows = self.filter(language=language).filter(
            models.Q(valid_from=None) | models.Q(valid_from__lte=day)
        )
        oldest_first = rows.order_by(models.F("valid_from").asc(nulls_first=True))
        return {row.country_id: row for row in oldest_first}

    def of_country(self, country: str, *, day: date, language: str) -> Any:
        """The phrases of one State valid on a day, or None."""
        return self.filter(country=country).on(day, language).get(country)
