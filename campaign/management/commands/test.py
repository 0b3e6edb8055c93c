"""`manage.py test`: every test, on the databases that matter, with one sum at the end."""

import argparse
import contextlib
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from campaign.rehearsal.servers import end_with_parent, scratch_folder
from tests.postgres import postgres

# What decides how the project runs must come from here, not from the shell that starts the tests.
OURS = (
    "ANYMAIL_WEBHOOK_SECRET", "DATABASE_URL", "DEBUG", "INBOUND_LISTEN", "JOURNAL_DIR", "LEASE_SECONDS",
    "LETTER_ID_HEADER", "LOG_LEVEL", "REDIS_URL", "REPLY_DOMAIN", "SECRET_KEY", "SEND_BATCH", "SEND_PLACES",
    "SITE_URL", "STATIC_ROOT", "SUPPRESSION_KEY",
)  # fmt: skip
ON_POSTGRES = ("tests/contacts", "tests/letters")  # where the ORM and the sending are
TWO_PROCESSES = ("-n", "2", "--dist", "loadgroup")


@dataclass
class Count:
    """Outcomes of one or several runs; an error in a fixture counts as a failure."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Run:
    """One run of pytest: on which database, with which arguments."""

    database: str
    arguments: list[str]


class Command(BaseCommand):
    """Run pytest in processes of its own, one after another, and add up what they found."""

    help = "Runs the tests. Paths and options that are not listed here go to pytest."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Django's parser would refuse pytest's options: ours passes them on."""
        options, rest = parser(argv).parse_known_args(argv[2:])
        sys.exit(self.handle(long=options.long, database=options.database, rest=rest))

    def handle(self, *, long: bool, database: str | None, rest: list[str]) -> int:  # type: ignore[override]
        """Carry the runs out; gives the first exit code that is not 0, else 0."""
        runs = plan(long=long, database=database, rest=rest, root=Path(settings.BASE_DIR))
        total, codes = Count(), []
        for run in runs:
            if len(runs) > 1:
                self.stdout.write(f"\n=== {run.database}: {' '.join(run.arguments)}", ending="\n")
                self.stdout.flush()
            code, count = carry_out(run)
            codes.append(code)
            total += count
            if code == 2:  # interrupted
                break
        if len(runs) > 1:
            self.stdout.write(f"\ntests: {total}")
        return next((code for code in codes if code), 0)


def parser(argv: list[str]) -> argparse.ArgumentParser:
    """The options of this command; whatever else stands there is pytest's."""
    result = argparse.ArgumentParser(
        prog=f"{Path(argv[0]).name} {argv[1]}",
        description=Command.help,
        epilog="Without any argument: everything on SQLite, then contacts and letters on PostgreSQL.",
        allow_abbrev=False,
    )
    result.add_argument(
        "--long",
        action="store_true",
        help="both databases over everything, the tests marked long, more examples, more browsers",
    )
    result.add_argument("--database", choices=["sqlite", "postgres", "both"])
    return result


def plan(*, long: bool, database: str | None, rest: list[str], root: Path) -> list[Run]:
    """Which runs an invocation means. `rest` are pytest's own arguments, `root` is the project's folder."""
    both = ["sqlite", "postgres"]
    chosen = both if database in (None, "both") else [str(database)]
    extra = ["--long"] if long else []
    if rest:
        return [Run(name, [*extra, *rest]) for name in (chosen if database else ["sqlite"])]
    runs = []
    for name in chosen:
        only_some = database is None and name == "postgres" and not long
        paths = [path for path in ON_POSTGRES if (root / path).is_dir()] if only_some else ["tests"]
        if paths:
            runs.append(Run(name, [*TWO_PROCESSES, *extra, *paths]))
    return runs


def carry_out(run: Run) -> tuple[int, Count]:
    """Run pytest once and give its exit code and what it counted. No test at all is an error."""
    with scratch_folder("tests") as folder, database_url(run, folder) as url:
        report = folder / "report.xml"
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in OURS and not name.startswith("CELERY_")
        }
        environment = {name: value for name, value in environment.items() if not name.endswith("MAIL_URL")}
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *run.arguments]
        environment |= {"DATABASE_URL": url, "JOURNAL_DIR": str(folder / "journal")}
        with_us = end_with_parent()
        with subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, preexec_fn=with_us) as pytest:
            code = wait(pytest)
        return code, read(report)


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for pytest, which ends by itself, tidily, when Ctrl-C reaches it and us."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


@contextlib.contextmanager
def database_url(run: Run, folder: Path) -> Iterator[str]:
    """The URL of a database for one run; PostgreSQL is private to it and gone afterwards."""
    if run.database == "sqlite":
        yield f"sqlite:///{folder}/tests.sqlite3"
    else:
        with postgres() as server:
            yield server.url


def read(report: Path) -> Count:
    """Add up pytest's report in JUnit's format; nothing when pytest wrote none."""
    total = Count()
    if report.exists():
        tree = ElementTree.parse(report)  # noqa: S314 - pytest wrote it
        for suite in tree.getroot().iter("testsuite"):
            of = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            failed = of["failures"] + of["errors"]
            total += Count(of["tests"] - failed - of["skipped"], failed, of["skipped"])
    return total
