"""Imports a file of offices: all rows or none, every error with its row."""

from dataclasses import dataclass, field
from pathlib import Path

import tablib
from django.db import transaction
from import_export.results import Result

from contacts.resources import OfficeResource

MAX_BYTES = 5_000_000
MAX_ROWS = 20_000
ENCODINGS = ("utf-8-sig", "cp1252")


class NotReadable(ValueError):
    """The file is not what can be imported; the message says why."""


@dataclass
class Report:
    """What an import did, or would do."""

    new: int = 0
    changed: int = 0
    same: int = 0
    errors: list[str] = field(default_factory=list)  # "line 3, email: …"; the header is line 1


def import_offices(path: Path, *, dry_run: bool) -> Report:
    """Imports offices from a CSV file (UTF-8, else Windows-1252). With one error nothing is changed.

    Raises NotReadable for a file that is no CSV table, too large or binary, OSError when it cannot be opened.
    """
    dataset = read_csv(path.read_bytes())
    with transaction.atomic():
        result = OfficeResource().import_data(
            dataset, dry_run=dry_run, raise_errors=False, use_transactions=True
        )
        report = Report(errors=list(_errors(result)))
        if report.errors:
            transaction.set_rollback(True)
    totals = result.totals
    report.new, report.changed, report.same = totals["new"], totals["update"], totals["skip"]
    return report


def read_csv(data: bytes) -> tablib.Dataset:
    """The table in a CSV file; comma or semicolon. Raises NotReadable."""
    if len(data) > MAX_BYTES:
        raise NotReadable(f"The file is too large: {len(data)} bytes; at most {MAX_BYTES}.")
    if b"\x00" in data:
        raise NotReadable("The file is not text: save the table as CSV (UTF-8).")
    text = _decoded(data)
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        dataset = tablib.Dataset().load(text, format="csv", delimiter=delimiter)
    except Exception as error:  # tablib raises its own and csv's errors, of no common kind
        raise NotReadable(f"The file cannot be read as a CSV table: {error}") from None
    if not dataset.headers or not dataset.height:
        raise NotReadable("The file has no rows.")
    if dataset.height > MAX_ROWS:
        raise NotReadable(f"The file has {dataset.height} rows; at most {MAX_ROWS}.")
    return dataset


def _decoded(data: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotReadable("The file's encoding is not known: save it as CSV (UTF-8).")


def _errors(result: Result):
    for error in result.base_errors:
        yield str(error.error)
    for row in result.invalid_rows:
        for name, messages in row.field_specific_errors.items():
            yield f"line {row.number + 1}, {name}: {' '.join(messages)}"
        for message in row.non_field_specific_errors:
            yield f"line {row.number + 1}: {message}"
    for number, errors in result.row_errors():
        for error in errors:
            yield f"line {number + 1}: {error.error}"
