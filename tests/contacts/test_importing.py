"""A file of offices comes in whole or not at all, and every error says where it stands."""

from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from contacts import consent, importing
from contacts.importing import NotReadable, import_offices, read_csv
from contacts.models import Office, Suppression
from tests import builders

pytestmark = pytest.mark.django_db
HEADER = "country,kind,label,email,source_url,checked_on,postal_address,note,state"
FRANCE = "FR,ministry,,cabinet@mfa.fr.example,https://mfa.fr.example/contact,2026-01-31,,,open"
GERMANY = "DE,ministry,,poststelle@mfa.de.example,https://mfa.de.example/kontakt,2026-01-31,,,open"
GENEVA = "FR,mission_geneva,,geneve@mfa.fr.example,https://mfa.fr.example/geneve,2026-01-31,,,open"


@pytest.fixture(autouse=True)
def _world() -> None:
    builders.world()


@pytest.fixture
def file(tmp_path: Path):
    """Writes lines (or bytes) to a file and tells its path."""

    def write(*lines: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "offices.csv"
        path.write_bytes("\r\n".join(lines).encode(encoding))
        return path

    return write


def ministry(code: str) -> Office:
    return Office.objects.ministries().get(country=code)


def counted(report: importing.Report) -> tuple[int, int, int]:
    return report.new, report.changed, report.same


def snapshot() -> list[dict[str, object]]:
    return list(Office.objects.order_by("pk").values())


def test_offices_come_in_and_a_second_time_nothing_changes(file) -> None:
    path = file(HEADER, FRANCE, GENEVA)

    assert counted(import_offices(path, dry_run=False)) == (1, 1, 0)
    france = ministry("FR")
    assert (france.email, france.checked_on) == ("cabinet@mfa.fr.example", date(2026, 1, 31))
    assert france.address_key == "cabinet@mfa.fr.example"
    assert Office.objects.filter(country="FR", kind="mission_geneva").exists()
    assert counted(import_offices(path, dry_run=False)) == (0, 0, 2)


def test_a_dry_run_tells_the_same_and_changes_nothing(file) -> None:
    before = snapshot()

    assert counted(import_offices(file(HEADER, FRANCE, GENEVA), dry_run=True)) == (1, 1, 0)
    assert snapshot() == before


def test_an_office_that_is_there_is_updated_where_the_file_speaks(file) -> None:
    office = builders.office("FR", address="old@mfa.fr.example")
    Office.objects.filter(pk=office.pk).update(note="Ring first.", per_hour=7)

    path = file(
        "country,email,source_url,checked_on", "fr, New@MFA.FR.example ,https://x.example/,2026-02-01"
    )
    assert counted(import_offices(path, dry_run=False)) == (0, 1, 0)

    office.refresh_from_db()
    assert (office.email, office.address_key) == ("New@mfa.fr.example", "new@mfa.fr.example")
    assert (office.note, office.per_hour) == ("Ring first.", 7)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "XX,ministry,,a@x.example,https://x.example/,2026-01-31,,,open",
            "line 3: Unknown country code “XX”",
        ),
        (",ministry,,a@x.example,https://x.example/,2026-01-31,,,open", "line 3: Unknown country code “”"),
        ("DE,ministry,,not an address,https://x.example/,2026-01-31,,,open", "line 3, email: "),
        ("DE,ministry,,a@x..example,https://x.example/,2026-01-31,,,open", "line 3, email: "),
        ("DE,ministry,,a@x.example,,2026-01-31,,,open", "line 3: An address needs its source"),
        ("DE,ministry,,a@x.example,https://x.example/,,,,open", "line 3: An address needs its source"),
        ("DE,ministry,,a@x.example,javascript:alert(1),2026-01-31,,,open", "line 3, source_url: "),
        ("DE,ministry,,a@x.example,https://x.example/,31.1.2026,,,open", "line 3, checked_on: "),
        ("DE,ministry,,a@x.example,https://x.example/,FUTURE,,,open", "lies in the future"),
        ("DE,palace,,a@x.example,https://x.example/,2026-01-31,,,open", "line 3, kind: "),
        ("DE,ministry,,a@x.example,https://x.example/,2026-01-31,,,ajar", "line 3, state: "),
        (f"DE,ministry,{'x' * 101},,,,,,open", "line 3, label: "),
        (
            FRANCE.replace("cabinet", "other").replace("FR,", "fr,"),
            "line 3: An earlier row is about the same",
        ),
    ],
)
def test_one_bad_row_and_nothing_comes_in(file, row: str, said: str) -> None:
    before = snapshot()
    row = row.replace("FUTURE", (date.today() + timedelta(days=1)).isoformat())

    report = import_offices(file(HEADER, FRANCE, row, GENEVA), dry_run=False)

    assert len(report.errors) == 1
    assert report.errors[0].startswith("line 3")
    assert said in report.errors[0]
    assert snapshot() == before


def test_every_error_tells_the_line_where_its_row_begins(file) -> None:
    address = '"Auswärtiges Amt\nWerderscher Markt 1\n10117 Berlin"'
    berlin = GERMANY.replace(",,,open", f",{address},,open")

    report = import_offices(
        file(HEADER, "XX" + FRANCE[2:], "", berlin, "YY" + GENEVA[2:], "ZZ" + GERMANY[2:]), dry_run=False
    )

    assert [error.partition(":")[0] for error in report.errors] == ["line 2", "line 7", "line 8"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("country,email,source_url", "Columns are missing: checked_on."),
        ("kind,note", "Columns are missing: country, email, source_url, checked_on."),
        ("country,email,source_url,checked_on,phone", "Unknown columns: phone. Known are: country, "),
        ("country,email,source_url,checked_on,pk", "Unknown columns: pk."),
        ("country,email,source_url,checked_on,email", "A column stands there twice."),
    ],
)
def test_missing_strange_and_doubled_columns_are_named(file, header: str, said: str) -> None:
    before = snapshot()
    row = ",".join("FR" for _ in header.split(","))

    report = import_offices(file(header, row), dry_run=False)

    assert len(report.errors) == 1
    assert report.errors[0].startswith(said)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8"), (",", "utf-8-sig"), (";", "cp1252")]
)
def test_files_as_spreadsheets_write_them_are_read(file, delimiter: str, encoding: str) -> None:
    lines = [line.replace(",", delimiter) for line in (HEADER.title(), FRANCE)]
    lines[1] = lines[1].replace(
        f"{delimiter * 3}open", f"{delimiter}37 quai d'Orsay, côté Seine{delimiter * 2}"
    )
    if delimiter == ",":
        lines[1] = lines[1].replace("37 quai d'Orsay, côté Seine", '"37 quai d\'Orsay, côté Seine"')

    report = import_offices(file(*lines, encoding=encoding), dry_run=False)

    assert not report.errors
    assert (ministry("FR").postal_address, ministry("FR").state) == ("37 quai d'Orsay, côté Seine", "open")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no rows"),
        (HEADER.encode(), "no rows"),
        (b"\r\n\r\n", "no rows"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not text"),
        (HEADER.encode("utf-16"), "not text"),
        (b"country,email\n\x81\x8d\x8f,\xff", "encoding is not known"),
        (b"country,email\nFR,a@x.example,more", "Line 2 has 3 cells, the first line 2"),
        (b"country,email\nFR", "Line 2 has 1 cells, the first line 2"),
        (b'country,email\n\nFR,"a@x.example\nDE,b@x.example', "Line 3 cannot be read as CSV"),
        (b"country,email\nFR," + b"x" * 200_000, "Line 2 cannot be read as CSV"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(data: bytes, said: str) -> None:
    with pytest.raises(NotReadable, match=said):
        read_csv(data)


def test_a_file_too_large_is_not_even_read_to_its_end(monkeypatch) -> None:
    monkeypatch.setattr(importing, "MAX_BYTES", 1_000)

    with pytest.raises(NotReadable, match="too large: at most 1000 bytes"):
        import_offices(Path("/dev/urandom"), dry_run=False)


def test_too_many_rows_are_refused(file, monkeypatch) -> None:
    monkeypatch.setattr(importing, "MAX_ROWS", 2)

    assert not import_offices(file(HEADER, FRANCE, GENEVA), dry_run=True).errors
    with pytest.raises(NotReadable, match="3 rows; at most 2"):
        import_offices(file(HEADER, FRANCE, GENEVA, GERMANY), dry_run=True)


def test_an_import_never_lets_anybody_be_written_to_again(file) -> None:
    consent.suppress("cabinet@mfa.fr.example", reason=Suppression.Reason.ASKED)

    import_offices(file(HEADER, FRANCE), dry_run=False)

    assert consent.suppressed(["cabinet@mfa.fr.example"])


def test_the_command_imports_and_counts(file) -> None:
    out = StringIO()
    path = file(HEADER, FRANCE, GENEVA)

    call_command("import_offices", path, "--dry-run", stdout=out)
    call_command("import_offices", path, stdout=out)

    assert out.getvalue().splitlines() == [
        "1 would be new, 1 would be changed, 0 stay as they are",
        "1 are new, 1 are changed, 0 stay as they are",
    ]


def test_the_command_shows_the_first_errors_and_counts_the_rest(file) -> None:
    rows = [f"XX,embassy,{number},,,,,,open" for number in range(60)]

    with pytest.raises(CommandError) as refusal:
        call_command("import_offices", file(HEADER, *rows))

    said = str(refusal.value).splitlines()
    assert said[0] == "Nothing was imported, 60 errors:"
    assert (len(said), said[-1]) == (52, "… and 10 more")


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_the_command_says_what_it_cannot_open(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError):
        call_command("import_offices", tmp_path / name)
