import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from letters.listening import listen


class Command(BaseCommand):
    help = "Listens for answers: LMTP (behind a mail server) or SMTP. Stores first, files later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--listen", default=settings.INBOUND_LISTEN, help="lmtp://host:port or smtp://host:port"
        )

    def handle(self, *args: Any, listen: str, **options: Any) -> None:
        try:
            asyncio.run(self._serve(listen))
        except (ValueError, OSError) as error:
            raise CommandError(f"Cannot listen: {error}") from None

    async def _serve(self, address: str) -> None:
        task = asyncio.create_task(listen(address, self._started))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            self.stdout.write("stopped")

    def _started(self, host: str, port: int) -> None:
        self.stdout.write(f"listening on {host}:{port} for {settings.REPLY_DOMAIN}")
        self.stdout.flush()
