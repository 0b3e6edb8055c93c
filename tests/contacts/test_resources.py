"""A table that leaves for a spreadsheet runs nothing there and comes back as it was."""

import csv
import io
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.importing import read_csv
from contacts.models import Office
from contacts.resources import COLUMNS, FORMULA, DateWidget, OfficeResource, SafeText
from tests import builders

TRICKY = st.one_of(
    st.text(st.sampled_from(list("'\"=+-@\t\r\n;,| a1é")), max_size=8),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        (None, ""),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+33 1 43 17 53 53", "'+33 1 43 17 53 53"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'\t=1+1"),
        ("\r=1+1", "'\r=1+1"),
        ("'=1+1", "''=1+1"),
        ("''=1+1", "'''=1+1"),
        ("'s-Gravenhage", "'s-Gravenhage"),
        ("'", "'"),
        ("a=b", "a=b"),
    ],
)
def test_a_cell_that_could_run_is_quoted(value: str | None, shown: str) -> None:
    assert SafeText().render(value) == shown
    assert SafeText().clean(shown) == (value or "")


@given(TRICKY)
def test_every_text_comes_back_and_none_runs(text: str) -> None:
    shown = SafeText().render(text)

    assert not shown.startswith(FORMULA)
    assert SafeText().clean(shown) == text


@given(st.lists(st.tuples(TRICKY, TRICKY), min_size=1, max_size=5))
def test_every_table_comes_back_through_a_file(rows: list[tuple[str, str]]) -> None:
    widget, file = SafeText(), io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["label", "note"])
    writer.writerows([[widget.render(cell) for cell in row] for row in rows])

    dataset, _ = read_csv(file.getvalue().encode())

    assert [tuple(widget.clean(cell) for cell in row) for row in dataset] == rows


@pytest.mark.django_db
@pytest.mark.parametrize(
    "note", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", '"quoted"', "'=1", "''", "one\ntwo; three, four"]
)
def test_an_exported_office_is_imported_to_the_original(note: str) -> None:
    france = builders.office("FR")
    label = f"={note.splitlines()[0].strip()}"
    Office.objects.filter(pk=france.pk).update(note=note, label=label, postal_address=f"@{note}")
    before = Office.objects.filter(pk=france.pk).values().get()
    exported = OfficeResource().export(Office.objects.filter(pk=france.pk))
    assert not any(cell.startswith(FORMULA) for row in exported for cell in row)
    Office.objects.filter(pk=france.pk).update(note="changed", postal_address="changed", email="")

    dataset, _ = read_csv(exported.export("csv").encode())
    result = OfficeResource().import_data(dataset, raise_errors=True)

    assert result.totals["update"] == 1
    assert Office.objects.filter(pk=france.pk).values().get() == before


@pytest.mark.django_db
def test_an_export_has_the_columns_that_an_import_knows() -> None:
    exported = OfficeResource().export(Office.objects.none())

    assert tuple(exported.headers) == COLUMNS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-31", date(2026, 1, 31)),
        ("", None),
        (date.today().isoformat(), date.today()),
    ],
)
def test_a_date_is_written_year_first(text: str, found: date | None) -> None:
    assert DateWidget(format="%Y-%m-%d").clean(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "31/01/2026",
        "01-31-2026",
        "2026-02-30",
        "today",
        "=TODAY()",
        (date.today() + timedelta(days=1)).isoformat(),
        "9999-12-31",
    ],
)
def test_other_dates_and_the_future_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        DateWidget(format="%Y-%m-%d").clean(text)
