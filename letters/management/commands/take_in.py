import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import Error as DatabaseTrouble

from letters import inbound

# sysexits.h, which mail servers understand
EX_OK, EX_DATAERR, EX_TEMPFAIL = 0, 65, 75


class Command(BaseCommand):
    help = "Takes in one message from standard input: the pipe of a mail server."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--recipient", help="envelope recipient; else ORIGINAL_RECIPIENT, else RECIPIENT")
        parser.add_argument("--sender", help="envelope sender; else SENDER")

    def handle(self, *args: Any, recipient: str | None, sender: str | None, **options: Any) -> None:
        recipient = recipient or os.environ.get("ORIGINAL_RECIPIENT") or os.environ.get("RECIPIENT") or ""
        sender = sender if sender is not None else os.environ.get("SENDER")
        raw = sys.stdin.buffer.read(settings.INCOMING_MAX_BYTES + 1)
        try:
            inbound.take_in(raw, envelope_from=sender, envelope_to=[recipient], door="pipe")
        except (inbound.TooLarge, inbound.Empty) as error:
            self._leave(EX_DATAERR, str(error))
        except (DatabaseTrouble, OSError) as error:
            self._leave(EX_TEMPFAIL, f"cannot store it now, try again: {type(error).__name__}")

    def _leave(self, code: int, why: str) -> None:
        self.stderr.write(why)
        sys.exit(code)
