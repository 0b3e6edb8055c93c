"""Many rows in one parameter: a statement that is written by hand reads them as a table."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL


def table(**columns: str) -> str:
    """`FROM` for rows given as one JSON parameter: columns by name and type (bigint or text), called `new`.

    JSON, because both databases read it, and because thousands of placeholders cost more than the update.
    """
    rows = "json_each(%s)" if connection.vendor == "sqlite" else "json_array_elements(CAST(%s AS json))"
    read = (f"CAST(value ->> {at} AS {kind}) AS {name}" for at, (name, kind) in enumerate(columns.items()))
    return f"(SELECT {', '.join(read)} FROM {rows}) AS new"  # noqa: S608  names and types are our own


def rows(values: Iterable[Sequence[Any]]) -> str:
    """The parameter for `table`: one list a row, in the order of the columns."""
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


def listed(numbers: Iterable[int]) -> RawSQL:
    """Numbers for `pk__in`, as one parameter: without fresh statistics too they are looked up by index."""
    rows = "json_each(%s)" if connection.vendor == "sqlite" else "json_array_elements_text(CAST(%s AS json))"
    return RawSQL(f"SELECT CAST(value AS bigint) FROM {rows}", [json.dumps(list(numbers))])  # noqa: S608, S611


def places(values: Sequence[Any]) -> str:
    """As many placeholders as there are values."""
    return ", ".join(["%s"] * len(values))
