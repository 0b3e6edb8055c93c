"""Loads States, phrases and salutations from the data files; a person's edits are never overwritten.

Each row remembers the values it was last loaded with (`loaded`). A field whose value still equals the
remembered one follows the file; a field that differs was edited by somebody, and stays.
"""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.db import models, transaction

from contacts.models import Country, CountryPhrases, Office, SalutationForm

DATA = Path(__file__).parent / "data"


@dataclass
class Loaded:
    """What a load did: rows made, rows changed, fields left as somebody had edited them."""

    created: int = 0
    changed: int = 0
    kept: int = 0


@transaction.atomic
def load_world(folder: Path = DATA) -> Loaded:
    """Loads countries.csv, country_phrases.csv and salutations.csv from a folder, all or nothing.

    Makes a ministry for each new State, without an address: those are imported, never guessed.
    May run again at any time. Raises FileNotFoundError, KeyError or ValueError for broken files.
    """
    report = Loaded()
    countries = [({"code": row["code"]}, _country(row)) for row in _rows(folder / "countries.csv")]
    _merge(Country, countries, report)
    ministries = set(Office.objects.ministries().values_list("country_id", flat=True))
    missing = Country.objects.exclude(pk__in=ministries).values_list("pk", flat=True)
    Office.objects.bulk_create(Office(country_id=code) for code in missing)
    phrases = [
        ({"country_id": row["country"], "language": row["language"], "valid_from": None}, _phrases(row))
        for row in _rows(folder / "country_phrases.csv")
    ]
    _merge(CountryPhrases, phrases, report)
    salutations = [
        (
            {
                "language": r["language"],
                "gender": r["gender"],
                "country_id": r["country"] or None,
                "holder_id": None,
            },
            {name: r[name] for name in ("salutation", "closing")},
        )
        for r in _rows(folder / "salutations.csv")
    ]
    _merge(SalutationForm, salutations, report)
    return report


def _merge(
    model: type[models.Model], rows: list[tuple[dict[str, Any], dict[str, Any]]], report: Loaded
) -> None:
    """Makes the rows that are missing, and lets the others follow the file where nobody edited them."""
    names = list(rows[0][0]) if rows else []
    existing = {tuple(getattr(row, name) for name in names): row for row in model._default_manager.all()}
    new = []
    for key, values in rows:
        remembered = {name: _plain(value) for name, value in values.items()}
        row = existing.get(tuple(key.values()))
        if row is None:
            new.append(model(**key, **values, loaded=remembered))
        else:
            _follow(row, values, remembered, report)
    model._default_manager.bulk_create(new, batch_size=500)
    report.created += len(new)


def _follow(row: Any, values: dict[str, Any], remembered: dict[str, Any], report: Loaded) -> None:
    changed = ["loaded"] if row.loaded != remembered else []
    for name, value in values.items():
        current = _plain(getattr(row, name))
        if current == _plain(value):
            continue
        if current != row.loaded.get(name):
            report.kept += 1
            continue
        setattr(row, name, value)
        changed.append(name)
    if changed:
        row.loaded = remembered
        row.save(update_fields=changed)
        report.changed += 1


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _country(row: dict[str, str]) -> dict[str, Any]:
    words = ("iso3", "m49", "status", "group", "letter_languages", "head_title", "ministry_confidence")
    return {name: row[name] for name in (*words, "capital_tz", "weekend", "note")} | {
        "name": row["name"],
        "member_since": date.fromisoformat(row["member_since"]) if row["member_since"] else None,
        "tile_col": int(row["tile_col"]) if row["tile_col"] else None,
        "tile_row": int(row["tile_row"]) if row["tile_row"] else None,
        "enabled": row["enabled"] == "1",
    }


def _phrases(row: dict[str, str]) -> dict[str, Any]:
    return {name: row[name] for name in ("name", "inline", "of", "ministry")} | {"in_country": row["in"]}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
