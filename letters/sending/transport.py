"""Which mailer carries which kind of mail, and the exchanges with relays that a thread keeps."""

import asyncio
import os
import threading
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import InvalidMailer, mailers

from letters.models import Delivery
from letters.sending.agency import Agency
from letters.sending.backends import is_loopback
from letters.sending.exchange import Exchange
from letters.sending.opening import Relay
from letters.sending.providers import is_provider
from letters.sending.smtp import HEAVY

MAILER = {
    Delivery.Kind.LETTER: "letters",
    Delivery.Kind.ANSWER: "letters",
    Delivery.Kind.DIGEST: "letters",
    Delivery.Kind.CONFIRMATION: "supporters",
    Delivery.Kind.NOTICE: "supporters",
}
ALIASES = ("supporters", "letters")  # in the order in which they are served


class Lines:
    """The event loop of one thread and its exchanges; kept from one round to the next.

    The loop runs only between looks at the database: Django's ORM refuses to work inside of one.
    Providers have no lines: their counters are made anew for each round.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        self.exchanges: dict[str, Exchange] = {}
        self._awake = asyncio.Event()

    def counter(self, alias: str) -> Exchange | Agency:
        """Where a mailer's jobs are handed in. Raises InvalidMailer when its relay may not be used."""
        if is_provider(alias):
            return Agency(alias)
        relay = relay_of(alias)
        kept = self.exchanges.get(alias)
        if kept is None or kept.relay != relay:
            if kept is not None:
                kept.close()
            kept = self.exchanges[alias] = self.loop.run_until_complete(self._made(relay))
        # A body goes out so early that its answer, late as it may be, still comes within the lease.
        kept.overdue = max(1.0, settings.LEASE_SECONDS - relay.timeout - HEAVY - 1)
        return kept

    def run(self, seconds: float) -> None:
        """Lets all exchanges work for so long, or until one of them has nothing more to do."""
        self.loop.run_until_complete(self._run(seconds))

    def close(self) -> None:
        """Closes all lines and the loop."""
        for exchange in self.exchanges.values():
            exchange.close()
        self.loop.run_until_complete(self._ended())
        self.loop.close()

    async def _ended(self) -> None:
        """What was still being opened is given up, and the lines are closed."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    async def _made(self, relay: Relay) -> Exchange:
        return Exchange(relay, wake=self._awake.set)

    async def _run(self, seconds: float) -> None:
        self._awake.clear()
        await asyncio.sleep(0)  # what happened while the loop stood still comes first
        for exchange in self.exchanges.values():
            exchange.work()
        timer = self.loop.call_later(seconds, self._awake.set)
        await self._awake.wait()
        timer.cancel()


_kept = threading.local()


def lines() -> Lines:
    """The lines of this thread; a process that was forked has its own."""
    mine: Lines | None = getattr(_kept, "lines", None)
    if mine is None or mine.process != os.getpid():
        mine = _kept.lines = Lines()
    return mine


def hang_up() -> None:
    """Closes the lines of this thread."""
    if mine := getattr(_kept, "lines", None):
        mine.close()
        _kept.lines = None


def relay_of(alias: str) -> Relay:
    """The relay that a mailer of the settings names.

    Raises InvalidMailer when the mailer is the loopback one and names another machine.
    """
    config = mailers.settings[alias]
    options: dict[str, Any] = config.get("OPTIONS", {})
    host = options.get("host") or "localhost"
    if config["BACKEND"].endswith(".LoopbackBackend") and not is_loopback(host):
        raise InvalidMailer(f"The loopback mailer does not send to {host!r}.", alias=alias)
    return Relay(
        host=host,
        port=options.get("port") or 25,
        username=options.get("username") or "",
        password=options.get("password") or "",
        use_tls=bool(options.get("use_tls")),
        use_ssl=bool(options.get("use_ssl")),
        timeout=float(options.get("timeout") or 30),
        hello=urlsplit(settings.SITE_URL).hostname or "localhost",
    )
