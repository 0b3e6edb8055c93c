"""Whether a rehearsal came out as it should: every letter in its state, every answer filed. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from campaign.rehearsal.ministries import MINISTRIES, Answer, final_state

BUSY = frozenset({"waiting", "submitting", "deferred"})


@dataclass(frozen=True)
class Posted:
    """A letter in the outbox: its Message-ID, the country it goes to, its state."""

    message_id: str
    country: str
    state: str


@dataclass(frozen=True)
class Filed:
    """A mail that came in: its Message-ID, its kind, and {letter's Message-ID: method} of its filings."""

    message_id: str
    kind: str
    under: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """An answer that a ministry gave: its Message-ID, the letter it answers, how it has to be filed."""

    message_id: str
    letter_id: str
    answer: Answer


@dataclass(frozen=True)
class Verdict:
    """What was expected, what matched, and everything that is not as it should be."""

    selected: int
    states: dict[str, int]
    replies: dict[str, int]
    expected: int
    matched: int
    busy: int
    missing: list[str]
    problems: list[str]

    @property
    def good(self) -> bool:
        """Whether the rehearsal came out as it should."""
        return not self.problems and self.busy == 0 and self.matched == self.expected

    @property
    def line(self) -> dict[str, object]:
        """The numbers, for a machine."""
        names = ("selected", "states", "replies", "expected", "matched")
        return {name: getattr(self, name) for name in names}


def judge(
    selected: int, posted: Iterable[Posted], filed: Iterable[Filed], answered: Iterable[Answered]
) -> Verdict:
    """Holds what the database says against the table of ministries and against what they really sent.

    `selected` is the campaign's own count of the letters it let go.
    """
    letters, mails, given = list(posted), list(filed), list(answered)
    states = Counter(letter.state for letter in letters)
    problems = [] if selected == len(letters) else [f"{selected} letters selected, {len(letters)} found"]
    problems += [problem for letter in letters if (problem := _astray(letter))]
    by_id = {mail.message_id: mail for mail in mails}
    by_id = {mail.message_id: mail for mail in mails}
    right = [one for one in given if _as_expected(one, by_id.get(one.message_id))]
    problems += [problem for one in given if (problem := _misfiled(one, by_id.get(one.message_id)))]
    known = {one.message_id for one in given}
    strange = [mail for mail in mails if mail.message_id not in known]
    problems += [f"nobody rehearsed the mail {mail.message_id} ({mail.kind})" for mail in strange]
    reached = [letter for letter in letters if _reached(letter)]
    return Verdict(
        selected=selected,
        states=dict(sorted(states.items())),
        replies=dict(sorted(Counter(mail.kind or "unread" for mail in mails).items())),
        expected=sum(len(MINISTRIES[letter.country].answers) for letter in reached),
        matched=len(right),
        busy=sum(states[state] for state in BUSY),
        missing=_missing(reached, right),
        problems=problems,
    )


def _reached(letter: Posted) -> bool:
    return letter.country in MINISTRIES and letter.state not in {
        "held",
        "withdrawn",
        "cancelled",
        "suppressed",
    }


def _astray(letter: Posted) -> str:
    wanted = final_state(letter.country)
    if letter.state == wanted or letter.state in BUSY:
        return ""
    return f"the letter to {letter.country} is {letter.state}, not {wanted}"


def _as_expected(one: Answered, mail: Filed | None) -> bool:
    return (
        mail is not None
        and mail.kind == one.answer.kind
        and dict(mail.under) == {one.letter_id: one.answer.method}
    )


def _misfiled(one: Answered, mail: Filed | None) -> str:
    """What is wrong with an answer that was read already, or nothing."""
    if mail is None or not mail.kind or _as_expected(one, mail):
        return ""
    return f"an answer to be filed as {one.answer.kind} by {one.answer.method} is {_found(mail)}"


def _missing(reached: list[Posted], right: list[Answered]) -> list[str]:
    there = {(one.letter_id, one.answer) for one in right}
    return [
        f"{answer.kind} from {letter.country}"
        for letter in reached
        for answer in MINISTRIES[letter.country].answers
        if (letter.message_id, answer) not in there
    ]


def _found(mail: Filed) -> str:
    methods = ", ".join(mail.under.values())
    return f"read as {mail.kind}, {f'filed by {methods}' if methods else 'on the tray'}"
