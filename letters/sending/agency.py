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

    def staff(self, connections: int, limits: dict[str, int], *, share: int = 1) -> None:
        """One request at a time goes out, whatever is allowed."""

    def put(self, jobs: list[Job]) -> None:
        """Jobs to be offered, in this order."""
        self._queue.extend(jobs)

    def work(self) -> None:
        """Nothing happens by itself: see `offer`."""

    def offer(self) -> None:
        """Offers the next few jobs and collects their results.

        Raises what keeps a mailer from being used; what was not offered comes back untouched.
        """
        jobs = {
            job.number: job for job in (self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue))))
        }
        offered: set[int] = set()

        def about_to(job: Job) -> None:
            try:
                if self.journal is not None:
                    self.journal.dot(job.number)
            except OSError as error:
                self.halted = f"the journal cannot be written: {error}"
                raise
            offered.add(job.number)

        try:
            for job, result in (
                providers.submit(self.alias, list(jobs.values()), about_to=about_to) if jobs else ()
            ):
                del jobs[job.number]
                self._told(job, result)
        except OSError:
            if not self.halted:
                raise
        finally:
            for job in jobs.values():
                lost = job.number in offered
                verdict, words = (
                    (Verdict.DOUBT, "its answer was lost") if lost else (Verdict.UNTOUCHED, "not offered")
                )
                self._told(job, Result(verdict, words))
        if self.halted or self.rest_until > time.monotonic():
            self.recall(self.halted or self.trouble)

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
        if self.journal is not None and result.verdict is not Verdict.UNTOUCHED:
            self.journal.answer(job.number, result)
            self.journal.save()
        self.results.append((job, result))
        if result.about_relay:
            self.trouble = result.words
            self.rest_until = max(self.rest_until, time.monotonic() + (result.wait or REST))
