"""What goes to a provider's API: the same counter as an exchange has, with requests instead of lines."""

import time
from collections import deque
from collections.abc import Collection

from letters.sending import providers
from letters.sending.jobs import Job, Result, Verdict
from letters.sending.journal import Journal

AT_ONCE = 10  # messages offered between two looks at whether their campaign still runs
REST = 5.0  # seconds after trouble that names no time


class Agency:
    """Jobs on their way to one provider. It has no lines: `offer` speaks, and waits for the answers."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.journal: Journal | None = None  # of the round that goes on
        self.results: list[tuple[Job, Result]] = []
        self.trouble = ""
        self.halted = ""
        self.rest_until = 0.0  # by time.monotonic()
        self.flying = 0  # nothing is on its way between two calls
        self._queue: deque[Job] = deque()

    @property
    def waiting(self) -> int:
        """Jobs that were not offered yet."""
        return len(self._queue)

    def staff(self, connections: int, limits: dict[str, int]) -> None:
        """One request at a time goes out, whatever is allowed."""

    def put(self, jobs: list[Job]) -> None:
        """Jobs to be offered, in this order."""
        self._queue.extend(jobs)

    def work(self) -> None:
        """Nothing happens by itself: see `offer`."""

    def offer(self) -> None:
        """Offers the next few jobs and collects their results."""
        jobs = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
        if not jobs:
            return
        try:
            for job in jobs:
                if self.journal is not None:
                    self.journal.dot(job.number)
        except OSError as error:
            self.halted = f"the journal cannot be written: {error}"
            self._queue.extendleft(reversed(jobs))
            self.recall(self.halted)
            return
        for job, result in providers.submit(self.alias, jobs):
            self._told(job, result)
        if self.rest_until > time.monotonic():
            self.recall(self.trouble)

    def stop(self, campaigns: Collection[int]) -> None:
        """Campaigns whose letters must not leave any more: they come back."""
        kept = [job for job in self._queue if job.campaign not in campaigns]
        gone = [job for job in self._queue if job.campaign in campaigns]
        self._queue = deque(kept)
        self.results += [
            (job, Result(Verdict.UNTOUCHED, "its campaign does not run any more")) for job in gone
        ]

    def recall(self, why: str) -> None:
        """All jobs that were not offered come back untouched."""
        self.results += [(job, Result(Verdict.UNTOUCHED, why)) for job in self._queue]
        self._queue.clear()

    def close(self) -> None:
        """Nothing is kept open."""

    def _told(self, job: Job, result: Result) -> None:
        if self.journal is not None:
            self.journal.answer(job.number, result)
            self.journal.save()
        self.results.append((job, result))
        if result.about_relay:
            self.trouble = result.words
            self.rest_until = max(self.rest_until, time.monotonic() + (result.wait or REST))
