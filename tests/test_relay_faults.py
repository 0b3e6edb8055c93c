"""The relay of the tests is as nasty as it is told to be, and its judge sees what went wrong."""

import socket
import time

import pytest

from tests.judge import judge
from tests.relay import Relay
from tests.relay_caller import ENVELOPE, MAIL, RCPT, Caller, letter
from tests.relay_faults import Fault, Greylist, Limits

BEFORE_THE_BODY = ["connect", "hello", "mail", "rcpt", "data"]


@pytest.fixture
def relay():
    with Relay() as running:
        yield running


@pytest.mark.parametrize("stage", BEFORE_THE_BODY)
@pytest.mark.parametrize("fault", [{}, {"hang": 0.2}, {"answer": "451 4.7.1 later"}, {"answer": "421 bye"}])
def test_a_fault_strikes_at_its_stage(relay, stage, fault):
    relay.faults = [Fault(stage, **fault)]
    started = time.monotonic()
    caller = Caller(relay, hello="")
    heard = {"connect": caller.banner}
    for name, line in zip(BEFORE_THE_BODY[1:], ["EHLO me", *ENVELOPE], strict=True):
        if heard.get("connect", "").startswith("220") and all(heard.values()):
            caller.say(line)
            heard[name] = caller.hear()
    assert heard[stage].strip() == fault.get("answer", "")
    assert time.monotonic() - started >= fault.get("hang", 0)
    assert relay.accepted == []


def test_a_fault_is_for_some_recipients_and_some_times(relay):
    relay.faults = [Fault("rcpt", "550 5.1.1 no", recipient="@mfa.es", times=1)]
    caller = Caller(relay)
    said = ("RCPT TO:<a@mfa.fr>", "RCPT TO:<a@mfa.es>", "RCPT TO:<a@mfa.es>")
    assert caller.ask(MAIL, *said) == "250 250 550 250"


def test_chance_is_the_same_every_time():
    runs = []
    for _ in range(2):
        with Relay([Fault("rcpt", "450 4.2.0 later", share=0.3)], seed=7) as relay:
            runs.append(Caller(relay).ask(MAIL, *[RCPT] * 200).count("450"))
    assert runs[0] == runs[1]
    assert 30 < runs[0] < 90


def test_a_stage_must_exist():
    with pytest.raises(AssertionError, match="no stage"):
        Fault("rctp")


def test_354_for_nobody_takes_an_empty_body_and_refuses_it(relay):
    """RFC 2920 allows it, and a client that pipelines must be ready for it."""
    relay.faults = [Fault("rcpt", "550 5.1.1 no", times=1), Fault("data", "354 go on", times=1)]
    caller = Caller(relay)
    assert caller.ask(*ENVELOPE) == "250 550 354"
    assert caller.ask(".") == "554"
    assert caller.send() == "250 250 354 250"


def test_a_lost_answer_is_in_the_log(relay):
    relay.faults = [Fault("dot", times=1), Fault("dot", "451 4.3.0 no", times=1), Fault("after", times=1)]
    assert [Caller(relay).send(number)[12:] for number in (1, 2, 3, 4)] == ["", "451", "", "250"]
    assert relay.message_ids() == ["<3@letters.example>", "<4@letters.example>"]
    assert relay.logged("body") == [f"<{number}@letters.example>" for number in (1, 2, 3, 4)]
    assert relay.logged("dot", "250") == ["<4@letters.example>"]
    assert relay.logged("after") == ["<3@letters.example>"]


def test_what_breaks_off_before_the_dot_is_not_taken(relay):
    caller = Caller(relay)
    caller.ask(*ENVELOPE)
    caller.say(letter())
    caller.socket.shutdown(socket.SHUT_WR)
    assert caller.hear() == ""
    assert (relay.accepted, relay.log[-1].stage) == ([], "broken")


def test_a_250_may_be_followed_by_a_reset(relay):
    relay.faults = [Fault("taken", hang=0.1, reset=True)]
    caller = Caller(relay)
    assert caller.send() == "250 250 354 250"
    with pytest.raises(ConnectionResetError):
        caller.hear()


def test_the_greylist_lets_a_pair_pass_after_its_window(relay):
    relay.greylist = Greylist(window=0.3, recipient="mfa.fr")
    caller = Caller(relay)
    assert caller.send() == "250 451 554"
    caller.ask("RSET")
    time.sleep(0.32)
    assert caller.send(envelope=(MAIL.replace("b-1", "b-2"), *ENVELOPE[1:])).endswith("250")
    assert caller.ask("MAIL FROM:<a@other.example>", RCPT, "RCPT TO:<x@mfa.es>") == "250 451 250"


def test_more_messages_a_second_than_allowed_end_the_connection(relay):
    relay.limits = Limits(per_second=3)
    first, second = Caller(relay), Caller(relay)
    assert [caller.send() for caller in (first, second, first)] == ["250 250 354 250"] * 3
    assert second.ask(*ENVELOPE).strip() == "421"
    time.sleep(1)
    assert first.send() == "250 250 354 250"


def test_after_so_many_messages_a_connection_ends_unasked(relay):
    relay.limits = Limits(per_connection=2)
    caller = Caller(relay)
    assert caller.send(1).endswith("250")
    caller.ask(*ENVELOPE)
    caller.say(letter(2), ".", *ENVELOPE)  # the third envelope is lost with the connection
    assert [caller.hear()[:3] for _ in range(3)] == ["250", "421", ""]
    assert len(relay.accepted) == 2


def test_more_connections_than_allowed_are_turned_away(relay):
    relay.limits = Limits(max_connections=2)
    first, _, third = Caller(relay), Caller(relay), Caller(relay, hello="")
    assert (third.banner[:3], third.hear()) == ("421", "")
    assert first.ask("QUIT") == "221"
    assert Caller(relay).send().endswith("250")
    assert (relay.connections, relay.most_open) == (4, 3)


def test_too_many_errors_in_a_row_end_the_connection(relay):
    relay.limits = Limits(max_errors=3)
    caller = Caller(relay)
    assert caller.ask("DATA", RCPT) == "503 503"
    caller.send()
    assert caller.ask("DATA", RCPT, "DATA", "NOOP").split() == ["503", "503", "503", "421"]


def test_one_domain_may_be_slow_while_others_are_not(relay):
    relay.slow = {"@mfa.slow": 0.1}
    took = {}
    for domain in ("mfa.slow", "mfa.fast"):
        started = time.monotonic()
        Caller(relay).send(envelope=(MAIL, f"RCPT TO:<a@{domain}>", "DATA"))
        took[domain] = time.monotonic() - started
    assert took["mfa.slow"] >= 0.3 > took["mfa.fast"]


def test_the_judge_names_each_kind_of_wrong(relay):
    for number in (1, 2, 2, 3, 4, 5):
        Caller(relay).send(number)
    relay.accepted.append(("a@b.example", letter(3, "other").encode()))
    states = {1: "accepted", 2: "accepted", 3: "uncertain", 4: "waiting", 6: "accepted", 7: "uncertain"}
    verdict = judge(relay, {f"<{number}@letters.example>": state for number, state in states.items()})
    assert {kind: [int(name[1]) for name in names] for kind, names in verdict.items()} == {
        "lost": [6], "repeated": [2, 3], "strangers": [5], "bodies": [3], "unreported": [4],
        "doubtful": [3, 7],
    }  # fmt: skip
