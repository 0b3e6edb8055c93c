"""One round of a worker: claim, commit, send, record, again and again until nothing is due.

The thread alternates between the database and the lines: a look at the database every few hundredths of
a second, so that a pause is obeyed at once, and results recorded within a tenth.
"""

import logging
import secrets
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    close_old_connections,
    connection,
)

from letters.models import Campaign, Delivery, Destination, RelayPace
from letters.querysets import in_seconds
from letters.sending import claiming, leaving, preparing, recording, recovery, rewind, transport
from letters.sending.agency import Agency
from letters.sending.exchange import Exchange
from letters.sending.jobs import Job, Verdict
from letters.sending.journal import Journal
from letters.sending.recording import Tried

log = logging.getLogger(__name__)
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)  # the last: read-only after a failover
GRACE = 25.0  # seconds for which people's mail goes on where letters still hang on their lines
TICK = 0.02  # seconds on the lines between two looks at the database
DRY = 0.25  # seconds after which a queue that was found empty is looked at again
RECORD_EVERY = 0.1  # seconds; a crash in between is told by the journal
FIRST_BATCH = 16
AIM = 0.5  # seconds that a batch should take: short enough for its objections to stay fresh
PATIENCE = 45.0  # seconds for which results wait for a database that is away; below the lease


def send_due(seconds: float, *, name: str = "") -> int:
    """Sends what is due, for at most so many seconds; returns how many messages were taken.

    Raises InvalidMailer when a relay may not be used, database errors when it is away; what was claimed
    and not sent is given back. Nothing leaves once it was noticed that a backup of the database was restored.
    """
    if rewind.noticed():
        return 0
    round_ = Round(name or secrets.token_hex(8))
    try:
        sent = round_.run(seconds)
    except BaseException:
        round_.leave()
        raise
    round_.journal.close(settled=True)
    return sent


@dataclass
class Wicket:
    """What goes to one mailer in this round: the counter it is handed in at, how much is claimed at once."""

    alias: str
    counter: Exchange | Agency
    size: int
    claimed_at: float = 0.0
    dry: bool = False  # the last claim found nothing
    shut: bool = False  # the relay may be given nothing now
    rested: float = 0.0  # the rest that the table knows of
    well: bool = False  # the table knows that it takes mail

    def hungry(self) -> bool:
        """Whether it could do with more jobs."""
        now = time.monotonic()
        if self.counter.rest_until > now or (self.dry and now - self.claimed_at < DRY):
            return False
        return self.counter.waiting < max(1, self.size // 4)

    def adapt(self, now: float, got: int) -> None:
        """Claims twice as much where a batch was gone in half the time aimed at, less where it took long."""
        took = now - self.claimed_at
        if self.claimed_at and not self.dry:
            if took < AIM / 2:
                self.size = min(settings.SEND_BATCH, self.size * 2)
            elif took > AIM * 2:
                self.size = max(2, self.size // 2)
        self.claimed_at, self.dry = now, got == 0


class Round:
    """The state of one round."""

    def __init__(self, name: str) -> None:
        self.name = name  # of its claims and its journal, and of the place at work that it holds
        self.lines = transport.lines()
        self.results: list[Tried] = []
        self.recorded_at = time.monotonic()
        self.taken = 0
        counters = {alias: self.lines.counter(alias) for alias in transport.ALIASES}
        self.journal = Journal(self.name)
        self.wickets = [self._wicket(alias, counter) for alias, counter in counters.items()]

    def run(self, seconds: float) -> int:
        """Goes on while there is something to do, and while there is time to begin something."""
        until = time.monotonic() + seconds
        while True:
            if leaving.told():
                until = -GRACE
            now = time.monotonic()
            begun = now < until + GRACE and self._claim(late=now >= until)
            busy = any(one.counter.waiting or one.counter.flying for one in self.wickets)
            if not begun and not busy:
                if now >= until or not self._left():
                    break
                time.sleep(DRY / 2)
                continue
            self.lines.run(TICK)
            for one in self.wickets:
                if isinstance(one.counter, Agency):
                    one.counter.offer()
            self._look(late=time.monotonic() > until)
            self._collect()
            if self.results and time.monotonic() - self.recorded_at >= RECORD_EVERY:
                self._record()
        self._collect()
        self._record()
        return self.taken

    def leave(self) -> None:
        """Something went wrong: what has not left is given back where that is possible, and all is told.

        Nothing of this round may leave once its journal is let go: whoever reads it believes it.
        """
        for one in self.wickets:
            one.counter.halted = "the round broke off"
            one.counter.recall(one.counter.halted)
        until = time.monotonic() + PATIENCE
        while any(one.counter.flying for one in self.wickets) and time.monotonic() < until:
            self.lines.run(TICK)
        for one in self.wickets:
            one.counter.close()
        self._collect()
        try:
            self._tell_all()
        finally:
            self.journal.close(settled=False)
        try:
            recovery.recover()  # what was claimed, and has not come so far as to a line
        except (DatabaseError, InterfaceError) as error:
            log.warning("whoever comes next reads the journal: %s", type(error).__name__)

    def _tell_all(self) -> None:
        """Records what is known after something went wrong, one by one where together fails."""
        if connection.connection is not None and not connection.is_usable():
            connection.close()  # that was what went wrong
        if recording.record_each(self.name, self.results):
            log.warning("some results are in the journal only")

    def _wicket(self, alias: str, counter: Exchange | Agency) -> Wicket:
        counter.recall("of a round before")
        counter.journal, counter.halted = self.journal, ""
        counter.stop(())  # what did not run in the round before may run now
        return Wicket(alias, counter, size=min(settings.SEND_BATCH, FIRST_BATCH))

    def _claim(self, *, late: bool) -> bool:
        """Fills up what runs low; True when something was claimed. Late, people's mail alone goes on."""
        begun = False
        for one in self.wickets:
            if one.counter.halted or not one.hungry() or (late and one.alias == "letters"):
                continue
            claimed = preparing.claim(self.name, one.alias, one.size)
            self._staff(one)
            one.adapt(time.monotonic(), len(claimed))
            one.shut = claimed.shut
            for jobs in preparing.write(claimed, smtp=isinstance(one.counter, Exchange)):
                one.counter.put(jobs)
                self.lines.run(0)  # nobody waits on a line for what is still being written
            self.results += claimed.spoilt
            begun = begun or len(claimed) > 0
        return begun

    def _left(self) -> bool:
        """Whether there is something that another worker held when we looked, and may let go of."""
        open_ = [one for one in self.wickets if not one.shut and one.counter.rest_until <= time.monotonic()]
        return any(claiming.left(one.alias) for one in open_ if not one.counter.halted)

    def _staff(self, one: Wicket) -> None:
        """Connections and limits as they are set now: changes count without a restart."""
        pace = RelayPace.objects.get(pk=one.alias)
        limited = Destination.objects.exclude(connections=None)
        limits = {row.domain: row.connections for row in limited if row.connections is not None}
        lines = max(1, pace.connections // max(1, settings.SEND_PLACES))
        # Ministries are many domains, people's mailboxes few.
        one.counter.staff(lines, limits, share=lines // (4 if one.alias == "letters" else 2))

    def _look(self, *, late: bool) -> None:
        """Calls back letters of campaigns that do not run any more, and all that waits when time is over."""
        for one in self.wickets:
            if late and one.alias == "letters":
                one.counter.recall("the round is over")
            elif one.alias == "letters" and (one.counter.waiting or one.counter.flying):
                others = Campaign.objects.exclude(sending=Campaign.Sending.RUNNING)
                one.counter.stop(set(others.values_list("pk", flat=True)))

    def _collect(self) -> None:
        for one in self.wickets:
            results, one.counter.results = one.counter.results, []
            self.results += results

    def _record(self) -> None:
        """Records what is known; waits for a database that is away, because results are precious."""
        until, results = time.monotonic() + PATIENCE, self.results
        while True:
            try:
                self.taken += recording.record(self.name, results) if results else 0
                self._tell_rests(results)
                break
            except DATABASE_AWAY:
                if time.monotonic() > until:
                    raise
                log.warning("the database is away; %d results wait", len(results))
                close_old_connections()
                self.lines.run(0.5)
        self.results, self.recorded_at = [], time.monotonic()

    def _tell_rests(self, results: list[Tried]) -> None:
        """Writes down that a relay rests, for all workers, and that it works again."""
        took = {
            transport.MAILER[Delivery.Kind(job.kind)]
            for job, result in results
            if result.verdict is Verdict.TAKEN and isinstance(job, Job)
        }
        for one in self.wickets:
            row = RelayPace.objects.filter(pk=one.alias, rest_until__lt=rewind.UNTIL_RELEASED)
            rest = one.counter.rest_until - self.lines.loop.time()
            if rest > 0 and one.counter.rest_until != one.rested:
                one.rested = one.counter.rest_until
                row.update(rest_until=in_seconds(rest), trouble=recording.one_line(one.counter.trouble))
                one.well = False
            elif one.alias in took and rest <= 0 and not one.well:
                row.exclude(trouble="").update(trouble="")
                one.well = True
