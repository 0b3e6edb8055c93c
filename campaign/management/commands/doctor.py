import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from campaign.checkup.examining import examine, worst
from campaign.checkup.findings import Finding, Severity


class Command(BaseCommand):
    help = (
        "Says what is wrong on the sending side and how to mend it. Changes nothing, sends nothing."
        " Exit code: 0 all is well, 1 warnings, 2 errors."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for monitoring")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        found = examine()
        self.stdout.write(_as_json(found) if json else _as_text(found))
        self.stdout.flush()
        sys.exit(worst(found).exit_code)


def _as_text(found: list[Finding]) -> str:
    return "\n".join([*map(str, found), _sum(found)])


def _as_json(found: list[Finding]) -> str:
    rows = [
        {
            "check": one.check,
            "severity": one.severity.name.lower(),
            "what": one.what,
            "mend": one.mend or None,
        }
        for one in found
    ]
    severity = worst(found)
    report = {
        "severity": severity.name.lower(),
        "exit_code": severity.exit_code,
        "at": timezone.now().isoformat(timespec="seconds"),
        "findings": rows,
    }
    return json.dumps(report)


def _sum(found: list[Finding]) -> str:
    counts = {severity: sum(one.severity == severity for one in found) for severity in Severity}
    return f"errors: {counts[Severity.ERROR]}, warnings: {counts[Severity.WARNING]}"
