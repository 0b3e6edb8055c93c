"""The states of a delivery, the one table of its transitions, and the ranks of its outcomes. Pure."""

from enum import IntEnum, StrEnum


class State(StrEnum):
    """Where a delivery is. What happens after acceptance is its outcome, never its state."""

    HELD = "held"
    WAITING = "waiting"
    SUBMITTING = "submitting"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    ACCEPTED = "accepted"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


S = State
FINAL = frozenset({S.ACCEPTED, S.FAILED, S.SUPPRESSED, S.WITHDRAWN, S.CANCELLED, S.EXPIRED})
OPEN = frozenset(State) - FINAL
DUE = frozenset({S.WAITING, S.DEFERRED})  # may be claimed when their time has come
MAY_HAVE_LEFT = frozenset({S.SUBMITTING, S.UNCERTAIN, S.ACCEPTED})  # nobody can call it back
STOPPABLE = frozenset({S.HELD, S.WAITING, S.DEFERRED})  # nothing has left the machine yet

_STOPPED = frozenset({S.SUPPRESSED, S.WITHDRAWN, S.CANCELLED, S.EXPIRED})
TRANSITIONS: dict[State, frozenset[State]] = {
    S.HELD: _STOPPED | {S.WAITING},
    # ACCEPTED from here: a 250 that a worker reads late is final, whatever was believed meanwhile.
    S.WAITING: _STOPPED | {S.SUBMITTING, S.HELD, S.FAILED, S.ACCEPTED},
    # WAITING from here: it is known that the final dot was never sent.
    S.SUBMITTING: frozenset({S.ACCEPTED, S.FAILED, S.DEFERRED, S.UNCERTAIN, S.WAITING}),
    S.DEFERRED: _STOPPED | {S.SUBMITTING, S.HELD, S.FAILED, S.WAITING, S.ACCEPTED},
    S.UNCERTAIN: frozenset({S.ACCEPTED, S.FAILED, S.WAITING, S.DEFERRED}),
    S.ACCEPTED: frozenset(),
    S.FAILED: frozenset(),
    S.SUPPRESSED: frozenset(),
    S.WITHDRAWN: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
}


class TransitionError(ValueError):
    """Somebody asked for a change of state that the table does not know."""


def sources(target: State) -> frozenset[State]:
    """The states from which a delivery may become `target`."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


def check(source: State, target: State) -> None:
    """Raises TransitionError unless the table allows going from one state to the other."""
    if target not in TRANSITIONS[source]:
        raise TransitionError(f"A delivery cannot go from {source} to {target}.")


class Outcome(IntEnum):
    """What became of an accepted delivery; moves forward by rank only, whatever order news arrive in."""

    NONE = 0
    DELIVERED = 10
    BOUNCED_SOFT = 20
    ACKNOWLEDGED = 30
    REPLIED = 40
    BOUNCED_HARD = 50
    COMPLAINED = 60
