"""What the tests of lines and exchanges share: jobs, and an exchange that is run until all is told."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from letters.sending.exchange import Exchange
from letters.sending.jobs import Job, Result
from letters.sending.mime import Mail
from letters.sending.opening import Relay as Where
from letters.sending.smtp import stuffed
from tests.relay import Relay

MESSAGE = b"Message-ID: <%d@replies.example>\r\nSubject: x\r\n\r\nhello\r\n.a line with a dot\r\n"
MAIL = Mail("a@b.example", "c@d.example", "x", "x", "x", "<1@b.example>", datetime(2026, 9, 1, tzinfo=UTC))


def job(number: int = 1, recipient: str = "cabinet@mfa.fr.example", **changes: Any) -> Job:
    """A job whose message says its number."""
    values: dict[str, Any] = {
        "number": number,
        "attempts": 1,
        "first_tried_at": None,
        "domain": recipient.rpartition("@")[2],
        "campaign": 1,
        "kind": "letter",
        "sender": f"b-{number}@replies.example",
        "recipient": recipient,
        "mail": MAIL,
        "checked_at": time.monotonic(),
        "message": stuffed(MESSAGE % number),
    }
    return Job(**(values | changes))


class Wires:
    """An exchange in a loop of its own."""

    def __init__(self, relay: Relay, *, connections: int = 1, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        where = {"host": "127.0.0.1", "port": relay.port, "timeout": 0.5} | options
        self.exchange = self.loop.run_until_complete(self._made(Where(**where)))
        self.exchange.staff(connections, {})

    async def _made(self, where: Where) -> Exchange:
        return Exchange(where, wake=lambda: None)

    def send(self, *jobs: Job, seconds: float = 20.0) -> dict[int, Result]:
        """Sends jobs, and gives the result of each."""
        self.exchange.put(list(jobs))
        self.run(until=lambda: len(self.exchange.results) == len(jobs), seconds=seconds)
        results = {one.number: result for one, result in self.exchange.results}
        self.exchange.results.clear()
        assert len(results) == len(jobs), "not every job has a result"
        return results

    def run(self, *, until: Any, seconds: float = 20.0) -> None:
        """Lets the exchange work until something is so."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.exchange.work()
            self.loop.run_until_complete(asyncio.sleep(0.005))

    def close(self) -> None:
        self.exchange.close()
        self.loop.run_until_complete(self._ended())
        self.loop.close()

    async def _ended(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)
