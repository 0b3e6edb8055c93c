"""What a check found: how bad it is, in words, and what to do about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from django.conf import settings
from django.urls import reverse

from letters.sending.recording import one_line

CAP = 10_000  # rows that a check counts at most
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Severity(IntEnum):
    """How bad it is."""

    OK = 0
    INFO = 1  # good to know, nothing to do
    WARNING = 2
    ERROR = 3

    @property
    def exit_code(self) -> int:
        """0 all well, 1 warnings, 2 errors."""
        return max(0, self - Severity.INFO)


@dataclass(frozen=True)
class Finding:
    """One thing that a check found. `mend` is a command, a variable or a page."""

    severity: Severity
    what: str
    mend: str = ""
    check: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "what", one_line(self.what, 500))  # strangers' words may stand in it

    def __str__(self) -> str:
        line = f"{self.severity.name.lower():<8} {self.check}: {self.what}"
        return f"{line} → {self.mend}" if self.mend else line


def well(what: str) -> Finding:
    """All is as it should be."""
    return Finding(Severity.OK, what)


def info(what: str, mend: str = "") -> Finding:
    """Good to know."""
    return Finding(Severity.INFO, what, mend)


def warning(what: str, mend: str) -> Finding:
    """Somebody should look at it."""
    return Finding(Severity.WARNING, what, mend)


def error(what: str, mend: str) -> Finding:
    """Mail does not leave, or something may get lost."""
    return Finding(Severity.ERROR, what, mend)


def page(model: str, query: str = "") -> str:
    """The address of a list in the admin."""
    return settings.SITE_URL + reverse(f"admin:letters_{model}_changelist") + query


def lasting(seconds: float) -> str:
    """A time in words: 12 s, 5 min, 3 h, 4 days."""
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def moment(at: datetime) -> str:
    """A time of the clock, as logs have it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def many(count: int) -> str:
    """A number that was counted up to CAP."""
    return f"at least {CAP:,}" if count >= CAP else f"{count:,}"
