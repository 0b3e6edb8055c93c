"""`manage.py test`: which runs an invocation means, and how their outcomes are added up."""

import io

import pytest

from campaign.management.commands import test as command
from campaign.management.commands.test import Count, Run, plan, read

TWO = ["-n", "2", "--dist", "loadgroup"]


@pytest.fixture
def root(tmp_path):
    for folder in ("contacts", "letters"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
    return tmp_path


def planned(root, *, long=False, database=None, rest=()):
    return plan(long=long, database=database, rest=list(rest), root=root)


def test_by_default_everything_on_sqlite_and_the_ledger_on_postgresql(root):
    assert planned(root) == [
        Run("sqlite", [*TWO, "tests"]),
        Run("postgres", [*TWO, "tests/contacts", "tests/letters"]),
    ]


def test_folders_that_are_not_there_are_left_out(root):
    (root / "tests" / "letters").rmdir()
    assert planned(root)[1].arguments == [*TWO, "tests/contacts"]
    (root / "tests" / "contacts").rmdir()
    assert [run.database for run in planned(root)] == ["sqlite"]


def test_long_means_everything_on_both(root):
    assert planned(root, long=True) == [
        Run("sqlite", [*TWO, "--long", "tests"]),
        Run("postgres", [*TWO, "--long", "tests"]),
    ]


def test_one_database_can_be_chosen(root):
    assert planned(root, database="postgres") == [Run("postgres", [*TWO, "tests"])]


def test_what_is_given_goes_to_pytest_as_it_is(root):
    assert planned(root, rest=["tests/letters", "-x"]) == [Run("sqlite", ["tests/letters", "-x"])]
    assert planned(root, rest=["-x"], database="both") == [Run("sqlite", ["-x"]), Run("postgres", ["-x"])]


def test_options_of_pytest_are_not_mistaken_for_ours():
    options, rest = command.parser(["manage.py", "test"]).parse_known_args(
        ["--lo", "-v", "--long", "-k", "x", "a.py"]
    )
    assert options.long
    assert rest == ["--lo", "-v", "-k", "x", "a.py"]


def test_an_error_counts_as_a_failure(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10"/></testsuites>'
    )
    assert read(report) == Count(passed=4, failed=3, skipped=3)
    assert read(tmp_path / "missing.xml") == Count()


@pytest.mark.parametrize(("codes", "exit_code"), [([0, 0], 0), ([0, 1], 1), ([5, 0], 5), ([2, 0], 2)])
def test_one_bad_run_is_a_bad_end_and_the_sum_stands_last(monkeypatch, codes, exit_code):
    results = iter([(code, Count(passed=3, skipped=1)) for code in codes])
    monkeypatch.setattr(command, "carry_out", lambda run: next(results))
    out = io.StringIO()
    assert command.Command(stdout=out).handle(long=False, database="both", rest=["x.py"]) == exit_code
    ran = 1 if codes[0] == 2 else 2  # an interruption ends it all
    assert out.getvalue().splitlines()[-1] == f"tests: {3 * ran} passed, 0 failed, {ran} skipped"
