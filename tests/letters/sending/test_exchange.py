"""Who goes next, who is in trouble: domains share the lines, relays rest, nothing stale leaves."""

import time
from collections.abc import Iterator

import pytest

from letters.sending.jobs import Verdict
from letters.sending.journal import Journal
from tests.letters.sending.wires import Wires, job
from tests.relay import Fault, Limits, Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as running:
        yield running
        assert running.violations == []


def test_a_domain_that_hangs_holds_only_its_share_of_the_lines(relay):
    relay.faults = [Fault("rcpt", hang=1.0, recipient="@mfa.slow.example")]
    wires = Wires(relay, connections=4)
    slow = [job(number, "a@mfa.slow.example") for number in range(100, 104)]
    good = [job(number, f"a@mfa{number % 9}.example") for number in range(90)]
    wires.exchange.put([*slow, *good])
    wires.run(until=lambda: len(relay.accepted) == 90)
    assert len(relay.accepted) == 90
    assert all(result.verdict == Verdict.TAKEN for _, result in wires.exchange.results)
    wires.close()


def test_a_domain_has_no_more_lines_at_once_than_it_is_given(relay):
    relay.delay = 0.02
    wires = Wires(relay, connections=8)
    wires.exchange.staff(8, {"mfa.fr.example": 1})
    wires.send(*[job(number) for number in range(8)])
    open_at_once = within = 0
    for event in relay.log:
        within += (event.stage == "body") - (event.stage == "dot")
        open_at_once = max(open_at_once, within)
    assert open_at_once == 1
    wires.close()


def test_a_relay_that_wants_fewer_connections_gets_fewer_and_all_the_mail(relay):
    relay.limits = Limits(max_connections=2)
    relay.delay = 0.01
    wires = Wires(relay, connections=8)
    results = wires.send(*[job(number, f"a@mfa{number % 9}.example") for number in range(40)])
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    turned_away = sum(event.answer.startswith("421") for event in relay.log if event.stage == "connect")
    assert turned_away <= 6
    wires.exchange.staff(8, {})
    wires.send(*[job(number, f"a@mfa{number % 9}.example") for number in range(40, 60)])
    assert turned_away == sum(
        event.answer.startswith("421") for event in relay.log if event.stage == "connect"
    )
    wires.close()


def test_where_no_relay_answers_one_letter_is_told_and_the_others_come_back(relay):
    wires = Wires(relay, connections=4)
    wires.exchange.relay = type(wires.exchange.relay)(host="127.0.0.1", port=1, timeout=0.5)
    results = wires.send(*[job(number, f"a@mfa{number}.example") for number in range(6)])
    verdicts = [result.verdict for result in results.values()]
    assert (verdicts.count(Verdict.LATER), verdicts.count(Verdict.UNTOUCHED)) == (1, 5)
    assert wires.exchange.trouble.startswith("connect:")
    assert wires.exchange.rest_until > wires.loop.time()
    wires.close()


def test_a_relay_in_trouble_rests_longer_each_time_and_not_for_ever(relay):
    wires = Wires(relay)
    rests = []
    for _ in range(9):
        wires.exchange._in_trouble("421 slow down")
        rests.append(wires.exchange._rest)
        wires.exchange.rest_until = wires.loop.time() - 1
    assert rests == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    wires.exchange.rest_until = wires.loop.time() - 11
    wires.exchange._in_trouble("421 once more")
    assert wires.exchange._rest == 0.5
    wires.close()


def test_what_was_looked_at_too_long_ago_comes_back(relay):
    wires = Wires(relay)
    results = wires.send(job(1), job(2, checked_at=time.monotonic() - 2.5), job(3))
    assert [results[number].verdict for number in (1, 2, 3)] == [
        Verdict.TAKEN,
        Verdict.UNTOUCHED,
        Verdict.TAKEN,
    ]
    wires.close()


def test_letters_of_a_stopped_campaign_come_back_even_from_the_line(relay):
    relay.delay = 0.3
    wires = Wires(relay)
    wires.exchange.put([job(1), job(2), job(3, campaign=7)])
    wires.run(until=lambda: relay.logged("body"))  # the next envelope has gone with the first body
    wires.exchange.stop({1})
    wires.run(until=lambda: len(wires.exchange.results) == 3)
    verdicts = {one.number: result.verdict for one, result in wires.exchange.results}
    assert verdicts == {1: Verdict.TAKEN, 2: Verdict.UNTOUCHED, 3: Verdict.TAKEN}
    assert relay.message_ids() == ["<1@replies.example>", "<3@replies.example>"]
    wires.close()


def test_the_journal_knows_each_dot_before_it_is_sent_and_each_answer(relay, tmp_path):
    relay.faults = [
        Fault("after", recipient="lost", times=1),
        Fault("rcpt", "550 5.1.1 no", recipient="nobody"),
    ]
    wires = Wires(relay)
    wires.exchange.journal = Journal("round", tmp_path)
    wires.send(job(1), job(2, "nobody@mfa.fr.example"), job(3, "lost@mfa.fr.example"))
    lines = (tmp_path / "round.journal").read_text().splitlines()[1:]
    assert sorted(lines) == sorted(
        [
            "dot 1",
            "taken 1 - 2.0.0 taken",
            "refused 2 - rcpt: 550 5.1.1 no",
            "dot 3",
            "doubt 3 - no answer to the final dot: the relay closed the connection",
        ]
    )
    wires.exchange.journal.close(settled=True)
    wires.close()


def test_nothing_leaves_that_the_journal_cannot_note(relay, tmp_path, monkeypatch):
    """A full disk: what would be in doubt after a crash does not leave at all."""
    wires = Wires(relay)
    wires.exchange.journal = Journal("round", tmp_path)
    monkeypatch.setattr("letters.sending.journal.os.write", lambda file, data: 0)
    results = wires.send(job(1), job(2))
    assert {result.verdict for result in results.values()} == {Verdict.UNTOUCHED}
    assert wires.exchange.halted.startswith("the journal cannot be written")
    assert relay.accepted == []
    wires.close()
