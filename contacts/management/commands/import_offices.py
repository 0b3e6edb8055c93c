from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from contacts.importing import NotReadable, import_offices

SHOWN = 50


class Command(BaseCommand):
    help = "Imports offices from a CSV file: all rows or none. Columns: see README, Contacts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")

    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            report = import_offices(file, dry_run=dry_run)
        except (NotReadable, OSError) as error:
            raise CommandError(str(error)) from None
        if report.errors:
            shown = "\n".join(report.errors[:SHOWN])
            more = f"\n… and {len(report.errors) - SHOWN} more" if len(report.errors) > SHOWN else ""
            raise CommandError(f"Nothing was imported, {len(report.errors)} errors:\n{shown}{more}")
        verb = "would be" if dry_run else "are"
        self.stdout.write(
            f"{report.new} {verb} new, {report.changed} {verb} changed, {report.same} stay as they are"
        )
