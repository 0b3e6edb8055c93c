"""What a relay may say at the wrong moment, without words, or about somebody else than the letter."""

from collections.abc import Iterator

import pytest

from letters.models import Campaign, Delivery, RelayPace
from letters.rules.ledger import State
from letters.sending import exchange, rounds
from letters.sending.jobs import Result, Verdict
from letters.sending.smtp import Stage, refusal
from tests import builders
from tests.letters.sending.steps import posted, running, time_passes
from tests.letters.sending.wires import Wires, job
from tests.relay import EXTENSIONS, Fault, Relay

PLAIN = tuple(one for one in EXTENSIONS if one != "PIPELINING")
NOT_US = [
    "554 5.7.1 <cabinet@mfa.fr.example>: Relay access denied",
    "550 5.7.1 relaying denied",
    "550 relay not permitted",
    "530 5.7.0 Authentication required",
    "535 5.7.8 bad credentials",
    "503 5.5.1 need MAIL before RCPT",
    "550 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "554 5.7.1 <b@replies.example>: Sender address rejected: not logged in",
]
NOT_THEM = [
    "550 5.1.1 no such user here",
    "501 5.1.3 bad recipient address syntax",
    "551 5.1.6 user has moved",
    "553 5.1.2 no such domain",
    "550",
]


@pytest.fixture(params=["pipelined", "step by step"])
def talker(request) -> Iterator[Relay]:
    with Relay(extensions=EXTENSIONS if request.param == "pipelined" else PLAIN) as running:
        yield running
        assert running.violations == []


@pytest.fixture
def wires(talker) -> Iterator[Wires]:
    running = Wires(talker)
    yield running
    running.close()


# Replies


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt", "data", "after"])
def test_a_reply_may_be_a_number_alone(talker, wires, stage):
    talker.faults = [Fault(stage, {"connect": "220", "data": "354"}.get(stage, "250"))]
    results = wires.send(job(1), job(2))
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    assert (talker.connections, len(talker.accepted)) == (1, 2)


def test_an_ehlo_that_is_answered_by_a_number_alone_offers_nothing(wires, talker):
    talker.faults = [Fault("hello", "250")]
    assert wires.send(job(1))[1].verdict == Verdict.TAKEN
    [line] = wires.exchange._lines
    assert line.extensions == {}


def test_a_refusal_without_words_is_a_refusal(talker, wires):
    talker.faults = [Fault("rcpt", "550", times=1)]
    assert wires.send(job(1))[1] == Result(Verdict.REFUSED, "rcpt: 550")


@pytest.mark.parametrize(
    "spurious", ["250 2.0.0 taken", "250", "250-2.0.0 and", "550 5.7.1 no", "451 4.3.0 later", "354 go on"]
)
def test_what_comes_along_with_354_is_no_answer_to_the_dot(talker, wires, spurious):
    talker.faults = [Fault("data", f"354 go on\r\n{spurious}", times=1)]
    result = wires.send(job(1))[1]
    assert result.verdict == Verdict.DOUBT
    assert "out of turn" in result.words
    assert wires.send(job(2))[2].verdict == Verdict.TAKEN
    assert talker.connections == 2


@pytest.mark.parametrize(
    "injected", ["250-evil\r\n250 SIZE 10", "250-evil", "250 ok", "220 once more", "nonsense"]
)
def test_clear_text_that_was_said_before_tls_is_not_believed(injected, monkeypatch):
    with Relay(tls="starttls") as relay:
        monkeypatch.setenv("SSL_CERT_FILE", str(relay.ca_file))
        relay.faults = [Fault("tls", f"220 2.0.0 go ahead\r\n{injected}")]
        wires = Wires(relay, use_tls=True, host="localhost", username="user", password="secret", timeout=5.0)
        result = wires.send(job(1))[1]
        assert (result.verdict, result.about_relay) == (Verdict.LATER, True)
        assert (relay.accepted, relay.credentials) == ([], [])
        assert not wires.exchange._lines
        wires.close()


def test_without_such_text_the_same_relay_is_believed(monkeypatch):
    with Relay(tls="starttls") as relay:
        monkeypatch.setenv("SSL_CERT_FILE", str(relay.ca_file))
        relay.faults = [Fault("tls", "220")]
        wires = Wires(relay, use_tls=True, host="localhost", username="user", password="secret", timeout=5.0)
        assert wires.send(job(1))[1].verdict == Verdict.TAKEN
        wires.close()


# Lines


def fall_silent(wires: Wires, seconds: float) -> None:
    """The lines have not said anything for so long."""
    for line in wires.exchange._lines:
        line.heard -= seconds


def test_a_line_that_was_idle_too_long_is_not_used_again(talker, wires):
    wires.send(job(1))
    [old] = wires.exchange._lines
    fall_silent(wires, exchange.IDLE + 1)
    assert wires.send(job(2))[2].verdict == Verdict.TAKEN
    assert old.transport is None
    assert old not in wires.exchange._lines
    assert [event.connection for event in talker.log if event.stage == "dot"] == [1, 2]


def test_a_line_that_was_idle_too_long_is_closed_though_nothing_waits(wires):
    wires.send(job(1))
    fall_silent(wires, exchange.IDLE + 1)
    wires.run(until=lambda: not wires.exchange._lines, seconds=2)
    assert not wires.exchange._lines


def test_a_line_that_was_used_a_moment_ago_is_kept(talker, wires):
    wires.send(job(1))
    fall_silent(wires, exchange.IDLE - 10)
    wires.send(job(2))
    assert talker.connections == 1


def test_letters_of_a_campaign_that_was_stopped_and_handed_in_again_leave(talker, wires):
    """Paused and resumed within one round: nobody else tells the lines that it runs."""
    wires.exchange.put([job(1)])
    wires.exchange.stop({1})
    [(_, result)] = wires.exchange.results
    assert result.verdict == Verdict.UNTOUCHED
    wires.exchange.results.clear()
    results = wires.send(job(1), job(2))
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    assert talker.message_ids() == ["<1@replies.example>", "<2@replies.example>"]


def test_the_letters_of_one_campaign_do_not_start_another(talker, wires):
    wires.exchange.stop({1, 7})
    wires.exchange.put([job(1)])
    assert wires.exchange._stopped == {7}
    wires.run(until=lambda: wires.exchange.results)
    assert [result.verdict for _, result in wires.exchange.results] == [Verdict.TAKEN]


# Refusals


@pytest.mark.parametrize("said", NOT_US)
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA, Stage.DOT])
def test_that_we_are_not_welcome_is_no_reason_to_give_a_letter_up(stage, said):
    code, _, words = said.partition(" ")
    result = refusal(stage, int(code), words)
    assert (result.verdict, result.about_relay, result.about_domain) == (Verdict.LATER, True, False)


@pytest.mark.parametrize("said", NOT_THEM)
def test_that_nobody_lives_there_is_for_good(said):
    code, _, words = said.partition(" ")
    assert refusal(Stage.RCPT, int(code), words).verdict == Verdict.REFUSED


@pytest.fixture
def campaign(db) -> Campaign:
    for country in ("FR", "BE"):
        builders.office(country)
    return running(builders.campaign())


@pytest.mark.django_db
@pytest.mark.parametrize("said", NOT_US[:4])
def test_while_a_relay_does_not_relay_for_us_letters_are_deferred_and_it_rests(campaign, relay, said):
    relay.faults = [Fault("rcpt", said)]
    delivery = posted(campaign)
    rounds.send_due(2)
    delivery.refresh_from_db()
    assert delivery.state == State.DEFERRED
    assert RelayPace.objects.get(name="letters").trouble == f"rcpt: {said}"


@pytest.mark.django_db
def test_one_letter_for_nobody_fails_and_the_next_one_leaves(campaign, relay):
    relay.faults = [Fault("rcpt", "501 5.1.3 bad address syntax", recipient="mfa.fr")]
    nobody, sound = posted(campaign), posted(campaign, country="BE")
    time_passes()
    rounds.send_due(3)
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {nobody.pk: State.FAILED, sound.pk: State.ACCEPTED}
