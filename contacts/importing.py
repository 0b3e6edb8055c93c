"""Imports a file of offices: all rows or none, every error with its row."""

import csv
import io
from collections.abc import Iterator
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
    with path.open("rb") as file:
        dataset, lines = read_csv(file.read(MAX_BYTES + 1))
    with transaction.atomic():
        result = OfficeResource().import_data(
            dataset, dry_run=dry_run, raise_errors=False, use_transactions=True
        )
        report = Report(errors=list(_errors(result, lines)))
        if report.errors:
            transaction.set_rollback(True)
    totals = result.totals
    report.new, report.changed, report.same = totals["new"], totals["update"], totals["skip"]
    return report


def read_csv(data: bytes) -> tuple[tablib.Dataset, list[int]]:
    """The table in a CSV file, comma or semicolon, and the line on which each row begins.

    Raises NotReadable.
    """
    if len(data) > MAX_BYTES:
        raise NotReadable(f"The file is too large: at most {MAX_BYTES} bytes.")
    if b"\x00" in data:
        raise NotReadable("The file is not text: save the table as CSV (UTF-8).")
    text = _decoded(data)
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    rows = list(_rows(text, delimiter))
    if len(rows) < 2:
        raise NotReadable("The file has no rows.")
    if len(rows) - 1 > MAX_ROWS:
        raise NotReadable(f"The file has {len(rows) - 1} rows; at most {MAX_ROWS}.")
    (_, headers), *body = rows
    for line, row in body:
        if len(row) != len(headers):
            raise NotReadable(f"Line {line} has {len(row)} cells, the first line {len(headers)}.")
    return tablib.Dataset(*[row for _, row in body], headers=headers), [line for line, _ in body]


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for row in reader:
            if row:
                yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        raise NotReadable(f"Line {begins} cannot be read as CSV: {error}.") from None


def _decoded(data: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotReadable("The file's encoding is not known: save it as CSV (UTF-8).")


def _errors(result: Result, lines: list[int]) -> Iterator[str]:
    for error in result.base_errors:
        yield str(error.error)
    if result.base_errors:  # the table as a whole is wrong: its rows say nothing more
        return
    for row in result.invalid_rows:
        for name, messages in row.field_specific_errors.items():
            yield f"line {lines[row.number - 1]}, {name}: {' '.join(messages)}"
        for message in row.non_field_specific_errors:
            yield f"line {lines[row.number - 1]}: {message}"
    for number, errors in result.row_errors():
        for error in errors:
            yield f"line {lines[number - 1]}: {error.error}"
