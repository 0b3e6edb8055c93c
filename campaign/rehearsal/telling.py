"""What the demo says in the terminal: progress, the sum, where to look next."""

import textwrap
import time
from collections.abc import Mapping
from typing import TextIO

from campaign.rehearsal.judging import Verdict
from campaign.rehearsal.ministries import MINISTRIES, Behaviour
from campaign.rehearsal.play import Count

QUIET_SECONDS = 2.0  # without a terminal: no more than one line in this time
KINDS = {
    "auto_reply": "automatic",
    "human_reply": "by a person",
    "bounce_hard": "bounced for good",
    "bounce_soft": "bounced for now",
    "complaint": "complaints",
    "other": "other",
    "unread": "not read yet",
}


class Progress:
    """How far it is: one line that updates itself on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._last = self._latest = ""  # told; known
        self._at = 0.0

    def __call__(self, count: Count) -> None:
        """Tells a count, if it is news."""
        text = progress_line(count)
        if text == self._last:
            return
        if self.stream.isatty():
            self._write(text, f"\r\x1b[K{text}")
        elif time.monotonic() - self._at >= QUIET_SECONDS:
            self._write(text, f"{text}\n")
        self._latest = text

    def end(self) -> None:
        """Tells the last count, and leaves the line that updates itself."""
        if self.stream.isatty():
            self._write(self._last, "\n")
        elif self._latest != self._last:
            self._write(self._latest, f"{self._latest}\n")

    def _write(self, text: str, line: str) -> None:
        self.stream.write(line)
        self.stream.flush()
        self._last, self._at = text, time.monotonic()


def progress_line(count: Count) -> str:
    """A count on one line."""
    text = f"signed {count.signed} · confirmed {count.confirmed} · letters out {count.out}"
    total = sum(count.replies.values())
    return f"{text} · answers in {total}" + (f" ({kinds(count.replies)})" if total else "")


def kinds(replies: Mapping[str, int]) -> str:
    """Replies by kind, in words."""
    return ", ".join(f"{number} {KINDS.get(kind, kind)}" for kind, number in replies.items())


def summary(verdict: Verdict, seconds: float) -> str:
    """What came of it."""
    sums = " + ".join(f"{number} {state}" for state, number in verdict.states.items())
    right = f"{verdict.matched} of {verdict.expected} filed under their letters as expected"
    lines = [
        f"The rehearsal took {seconds:.0f} seconds.",
        f"  Letters:  {verdict.selected} selected = {sums}",
        f"  Answers:  {kinds(verdict.replies) or 'none'}; {right}",
    ]
    if verdict.busy:
        lines.append(f"  Not settled: {verdict.busy} letters are still on their way")
    if verdict.missing:
        lines.append(f"  Missing:  {', '.join(verdict.missing)}")
    return "\n".join([*lines, *(f"  Not as it should be: {problem}" for problem in verdict.problems)])


def directions(places: Mapping[str, str]) -> str:
    """Where to look next, and whom one can write to."""
    width = max(len(name) for name in places)
    rows = [f"  {name:<{width}}  {place}" for name, place in places.items()]
    advice = textwrap.fill(
        "Write a letter on the campaign page with any address under .example, open the confirmation mail at "
        "the post office, and watch the ministry's answer come in. Nothing leaves this machine.",
        width=96,
    )
    return "\n".join(["", *rows, "", advice, "", *ministries(), "", "Ctrl-C stops everything."])


def ministries() -> list[str]:
    """Which ministries there are, by what they do with a letter."""
    width = max(len(behaviour.words) for behaviour in Behaviour)
    lines = ["Letters to these ministries are sent, to all others held, since no address of theirs is known:"]
    for behaviour in Behaviour:
        countries = ", ".join(country for country, one in MINISTRIES.items() if one is behaviour)
        lines.append(f"  {behaviour.words:<{width}}  {countries}")
    return lines
