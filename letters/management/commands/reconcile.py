import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from letters.sending import rewind
from letters.sending.reconciling import Tally, reconcile

HELP = """\
Compares the ledger with a relay's log, for use after a backup of the database was restored.

The restored database has forgotten what left after the backup was made, and would send it again. So
sending is held until a person releases it. Before that, hand over what the relay took since: its log, or
any list in which the Message-IDs of these messages stand. Deliveries that it names, and that are held,
waiting, deferred or in doubt, become accepted; they are not sent again. Leave out lines about messages
that the relay refused: what is named counts as taken. May run again, and whenever there are doubts.

    manage.py reconcile --dry-run mail.log.1 mail.log
    zcat mail.log.2.gz | manage.py reconcile -
    manage.py reconcile --release mail.log
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keeps the lines of the help as they are."""
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="a relay's log; - is standard input")
        parser.add_argument("--dry-run", action="store_true", help="only count, change nothing")
        parser.add_argument("--release", action="store_true", help="then let the relays go again")

    def handle(self, *args: Any, files: list[str], dry_run: bool, release: bool, **options: Any) -> None:
        if not files and not release:
            raise CommandError("Name the relay's log, or - for standard input.")
        if dry_run and release:
            raise CommandError("--dry-run changes nothing, and so releases nothing.")
        if files:
            tally = self._compared(files, dry_run)
            if release and (why := objection(tally)):
                raise CommandError(f"Nothing was released: {why}")
        if release:
            self._release()

    def _compared(self, files: list[str], dry_run: bool) -> Tally:
        try:
            tally = reconcile(lines(files), dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}. Nothing was released.") from None
        for count, what in told(tally, dry_run):
            self.stdout.write(f"{count:>9,}  {what}")
        return tally

    def _release(self) -> None:
        if rewind.release():
            self.stdout.write("released: what is due goes when its turn comes")
        else:
            self.stdout.write("nothing was held because of a backup")


def lines(files: Iterable[str]) -> Iterator[str]:
    """The lines of some files, one after another; every octet is some letter. Raises OSError."""
    for name in files:
        if name == "-":
            yield from _decoded(sys.stdin.buffer)
        else:
            with Path(name).open("rb") as file:
                yield from _decoded(file)


def told(tally: Tally, dry_run: bool) -> list[tuple[int, str]]:
    """What a person wants to know of it: first the sum, then what it is made of."""
    return [
        (tally.found, f"Message-IDs at {settings.REPLY_DOMAIN} found, each counted once; of these"),
        (tally.moved, "would become accepted" if dry_run else "became accepted"),
        (tally.accepted, "had been accepted before"),
        (tally.at_work, "are with a worker: run this again in two minutes"),
        (tally.ended, "had ended otherwise (failed, withdrawn, cancelled …), and stay so"),
        (tally.unknown, "are not in this database: written after the backup was made"),
    ]


def objection(tally: Tally) -> str:
    """Why the relays should not go again yet; nothing when they may."""
    if not tally.found:
        return "no file names a message of ours. If the relay took none, say --release without files."
    if tally.at_work:
        return f"{tally.at_work} are with a worker. Run this again in two minutes."
    return ""


def _decoded(file: BinaryIO) -> Iterator[str]:
    for line in file:
        yield line.decode("latin-1")
