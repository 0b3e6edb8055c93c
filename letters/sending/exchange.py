"""The lines to one relay, and the jobs on their way over them: who goes next, who is in trouble.

Jobs wait by domain and domains take turns, each with a share of the lines, so that one that hangs never
holds the others. A line that cannot be opened, or is turned away, makes the relay rest for a while.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection

from letters.sending.jobs import Job, Result, Verdict
from letters.sending.journal import Journal
from letters.sending.opening import CannotOpen, Relay, open_line
from letters.sending.smtp import Line

FRESH = 1.8  # seconds for which an answer to “any objections?” holds
OVERDUE = 35.0  # seconds after which a relay that took so long to say “go on” gets no body: see `Lines`
IDLE = 60.0  # seconds after which a line that was not used is not trusted any more
OFFERS = 3  # times that a job is put back because its line broke before it could be tried
RESTS = (0.5, 30.0)  # seconds that a relay rests after trouble: at first, at most
STALE = "looked at too long ago"
FEWER = 30.0  # seconds for which a relay that refused a connection is asked for no more
CALM = 10.0  # seconds without trouble after which it is forgotten


class Exchange:
    """What goes over the lines to one relay. Lives in one event loop and is never shared."""

    def __init__(self, relay: Relay, *, wake: Callable[[], None]) -> None:
        self.relay = relay
        self.journal: Journal | None = None  # of the round that goes on
        self.results: list[tuple[Job, Result]] = []
        self.trouble = ""  # of the relay, in its own words
        self.halted = ""  # why nothing may leave any more
        self.rest_until = 0.0
        self._rest = RESTS[0]
        self._took = False  # it took something since its last rest: a short one will do
        self._saving = False
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._lines: set[Line] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._at_most = 1  # lines
        self._share = 1  # of them, for one domain
        self.overdue = OVERDUE
        self._fewer = (0, 0.0)  # lines that the relay puts up with, and until when that is believed
        self._queues: dict[str, deque[Job]] = {}
        self._turn: deque[str] = deque()  # domains with jobs waiting
        self._flying: Counter[str] = Counter()
        self._limits: dict[str, int] = {}
        self._stopped: frozenset[int | None] = frozenset()

    # What a round asks and tells

    @property
    def waiting(self) -> int:
        """Jobs that no line has taken yet."""
        return sum(map(len, self._queues.values()))

    @property
    def flying(self) -> int:
        """Jobs on a line, their result still open."""
        return self._flying.total()

    def staff(self, connections: int, limits: dict[str, int], *, share: int = 1) -> None:
        """Says how many lines there may be, and how many at once for a domain: some have their own limit."""
        self._share = max(1, share)
        if self._loop.time() < self._fewer[1]:
            connections = min(connections, self._fewer[0])
        self._at_most, self._limits = max(1, connections), limits
        idle = [line for line in self._lines if line.idle]
        for line in idle[: max(0, len(self._lines) - self._at_most)]:
            line.close()

    def put(self, jobs: list[Job]) -> None:
        """Jobs to be offered, in this order within a domain; their campaigns were seen to run."""
        self._stopped = self._stopped - {job.campaign for job in jobs}
        for job in jobs:
            queue = self._queues.get(job.domain)
            if queue is None:
                queue = self._queues[job.domain] = deque()
                self._turn.append(job.domain)
            queue.append(job)

    def work(self) -> None:
        """Gives idle lines something to do, opens more where there is work, ends those that hang."""
        now = self._loop.time()
        for line in [line for line in self._lines if line.since is not None]:
            patience = self.relay.timeout + line.weight
            if line.since is not None and now - line.since > patience:
                line.close(f"no answer in {patience:g} s")
        for line in [line for line in self._lines if line.idle]:
            if now - line.heard > IDLE:
                line.close("it was idle too long")  # what lies between may have forgotten it
            else:
                line.take()
        if not self._lines:
            self._take_back(lambda job: now - job.checked_at > FRESH, STALE)
        room = self._at_most - len(self._lines) - len(self._opening)
        if self.waiting and room > 0:
            if now < self.rest_until:
                if not self._lines and not self._opening:
                    self.recall("the relay rests")
                return
            for _ in range(min(room, self.waiting)):
                self._opening.add(self._loop.create_task(self._open()))

    def stop(self, campaigns: Collection[int]) -> None:
        """Campaigns whose letters must not leave any more: those that no line has taken come back."""
        self._stopped = frozenset(campaigns)
        if campaigns:
            self._take_back(lambda job: job.campaign in campaigns, "its campaign does not run any more")

    def recall(self, why: str) -> None:
        """All jobs that no line has taken come back untouched."""
        self._take_back(lambda job: True, why)

    def close(self) -> None:
        """Closes all lines. Jobs on them get their results."""
        for task in self._opening:
            task.cancel()
        for line in list(self._lines):
            line.close()

    # What the lines ask and tell (smtp.Desk)

    def next(self) -> Job | None:
        """The next job of the domain whose turn it is, if a domain has room."""
        now, passed, share = self._loop.time(), 0, self._share
        while passed < len(self._turn):
            domain = self._turn[0]
            if self._flying[domain] >= self._limits.get(domain, share):
                self._turn.rotate(-1)
                passed += 1
                continue
            job = self._pop(domain)
            if now - job.checked_at <= FRESH:
                self._flying[domain] += 1
                return job
            self._settle(job, Result(Verdict.UNTOUCHED, STALE))
        return None

    def before_dot(self, job: Job) -> bool:
        """Whether the job may still leave; notes in the journal that it is about to."""
        overdue = self._loop.time() - job.checked_at > self.overdue
        if job.campaign in self._stopped or self.halted or overdue:
            return False
        try:
            if self.journal is not None:
                self.journal.dot(job.number)
        except OSError as error:  # a full disk: nothing leaves that would be in doubt after a crash
            self.halted = f"the journal cannot be written: {error}"
            self.recall(self.halted)
            return False
        return True

    def done(self, job: Job, result: Result) -> None:
        """A line is through with a job: its result, or another offer where its line broke too early."""
        self._flying[job.domain] -= 1
        if not self._flying[job.domain]:
            del self._flying[job.domain]
        if result.about_relay:
            self._in_trouble(result.words)
        elif result.verdict is Verdict.TAKEN:
            self._took = True
        if result.verdict is Verdict.UNTOUCHED and job.campaign not in self._stopped and not self.halted:
            job.offers += 1
            if job.offers < OFFERS:
                self._put_back(job)
                return
            result = Result(Verdict.LATER, result.words, about_relay=True)
        self._settle(job, result)

    def gone(self, line: Line, why: str) -> None:
        """A line is closed; another is opened when there is work."""
        self._lines.discard(line)
        self._wake()

    def _put_back(self, job: Job) -> None:
        """First in its domain, whose turn it is: it goes over the next line before anything else."""
        if job.domain in self._queues:
            self._turn.remove(job.domain)
        self._queues.setdefault(job.domain, deque()).appendleft(job)
        self._turn.appendleft(job.domain)

    def _pop(self, domain: str) -> Job:
        """The next job of a domain, which goes to the end of the turn."""
        queue = self._queues[domain]
        job = queue.popleft()
        self._turn.remove(domain)
        if queue:
            self._turn.append(domain)
        else:
            del self._queues[domain]
        return job

    def _settle(self, job: Job, result: Result) -> None:
        if self.journal is not None and result.verdict is not Verdict.UNTOUCHED:
            self.journal.answer(job.number, result)
            if not self._saving:  # at the end of what is being read from the line: mostly a dot comes first
                self._saving = True
                self._loop.call_soon(self._save)
        self.results.append((job, result))
        if not self._queues and not self.flying:
            self._wake()

    def _save(self) -> None:
        self._saving = False
        if self.journal is not None:
            self.journal.save()

    def _take_back(self, which: Callable[[Job], bool], why: str) -> None:
        for domain in list(self._queues):
            kept: deque[Job] = deque()
            for job in self._queues[domain]:
                if which(job):
                    self._settle(job, Result(Verdict.UNTOUCHED, why))
                else:
                    kept.append(job)
            if kept:
                self._queues[domain] = kept
            else:
                del self._queues[domain]
                self._turn.remove(domain)

    async def _open(self) -> None:
        try:
            line = await open_line(self.relay, self)
        except (CannotOpen, ValueError) as error:  # the latter of a host that is none
            self._unopened(str(error))
        else:
            self._lines.add(line)
            line.take()
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._opening.discard(task)
            self._wake()

    def _unopened(self, why: str) -> None:
        """Where other lines work, the relay wants fewer. Else one job is told, and the others wait."""
        if self._lines:
            self._at_most = len(self._lines)
            self._fewer = self._at_most, self._loop.time() + FEWER
            return
        self._in_trouble(why)
        if len(self._opening) > 1:
            return
        if self._turn:
            self._settle(self._pop(self._turn[0]), Result(Verdict.LATER, why, about_relay=True))
        self.recall(why)

    def _in_trouble(self, why: str) -> None:
        now = self._loop.time()
        if now < self.rest_until:
            return
        calm = self._took or now - self.rest_until > CALM
        self._rest = RESTS[0] if calm else min(RESTS[1], self._rest * 2)
        self._took = False
        self.rest_until, self.trouble = now + self._rest, why
