"""The table of states: every move that may be made, and no other; outcomes only ever climb."""

import pytest

from letters.rules.ledger import (
    DUE,
    FINAL,
    OPEN,
    STOPPABLE,
    TRANSITIONS,
    Outcome,
    State,
    TransitionError,
    check,
    sources,
)

# Written out once more, on purpose: a change of the table must be meant.
MOVES = """
held       -> waiting suppressed withdrawn cancelled expired
waiting    -> submitting held failed accepted suppressed withdrawn cancelled expired
submitting -> accepted failed deferred uncertain waiting
deferred   -> submitting held failed waiting accepted suppressed withdrawn cancelled expired
uncertain  -> accepted failed waiting deferred
accepted   ->
failed     ->
suppressed ->
withdrawn  ->
cancelled  ->
expired    ->
"""
ALLOWED = {
    (State(source.strip()), State(target))
    for source, targets in (line.split("->") for line in MOVES.strip().splitlines())
    for target in targets.split()
}


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_a_delivery_moves_only_as_the_table_says(source: State, target: State) -> None:
    if (source, target) in ALLOWED:
        check(source, target)
    else:
        with pytest.raises(TransitionError, match=f"from {source} to {target}"):
            check(source, target)
    assert (source in sources(target)) is ((source, target) in ALLOWED)


def test_every_state_is_in_the_table_and_either_open_or_final() -> None:
    assert set(TRANSITIONS) == set(State) == OPEN | FINAL
    assert not OPEN & FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_leaves_a_final_state(state: State) -> None:
    assert not TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(OPEN))
def test_from_every_open_state_there_is_a_way_to_an_end(state: State) -> None:
    reached, seen = {state}, set()
    while reached - seen:
        seen |= reached
        reached |= {target for source in reached for target in TRANSITIONS[source]}

    assert State.ACCEPTED in reached
    assert reached & FINAL


def test_what_may_have_left_the_machine_cannot_be_stopped_nor_sent_by_itself() -> None:
    assert OPEN - {State.SUBMITTING, State.UNCERTAIN} == STOPPABLE
    for state in STOPPABLE:
        assert {State.WITHDRAWN, State.CANCELLED, State.SUPPRESSED} <= TRANSITIONS[state]
    assert DUE <= STOPPABLE
    for state in (State.SUBMITTING, State.UNCERTAIN):
        assert State.SUBMITTING not in TRANSITIONS[state]


def test_a_late_delivered_clears_neither_bounce_nor_answer_and_nothing_clears_a_complaint() -> None:
    assert sorted(Outcome) == [
        Outcome.NONE,
        Outcome.DELIVERED,
        Outcome.BOUNCED_SOFT,
        Outcome.ACKNOWLEDGED,
        Outcome.REPLIED,
        Outcome.BOUNCED_HARD,
        Outcome.COMPLAINED,
    ]
