"""The SMTP client knows how far it got, whatever the relay does."""

import base64
from collections.abc import Iterator

import pytest

from letters.sending.jobs import Result, Verdict
from letters.sending.smtp import Stage, broken, refusal, stuffed
from tests.letters.sending.wires import MESSAGE, Wires, job
from tests.relay import EXTENSIONS, Fault, Relay

PLAIN = tuple(one for one in EXTENSIONS if one != "PIPELINING")


@pytest.fixture(params=["pipelined", "step by step"])
def relay(request) -> Iterator[Relay]:
    with Relay(extensions=EXTENSIONS if request.param == "pipelined" else PLAIN) as running:
        yield running
        assert running.violations == []


@pytest.fixture
def wires(relay) -> Iterator[Wires]:
    running = Wires(relay)
    yield running
    running.close()


def send(wires: Wires, number: int = 1) -> Result:
    return wires.send(job(number))[number]


def test_a_message_arrives_as_it_was_dots_included(relay, wires):
    assert send(wires) == Result(Verdict.TAKEN, "2.0.0 taken")
    assert relay.accepted == [("cabinet@mfa.fr.example", MESSAGE % 1)]
    assert relay.senders == ["b-1@replies.example"]


def test_many_go_over_one_line_in_order_each_once(relay, wires):
    results = wires.send(*[job(number) for number in range(1, 41)])
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    assert relay.message_ids() == [f"<{number}@replies.example>" for number in range(1, 41)]
    assert relay.connections == 1


def test_several_lines_share_the_work(relay):
    relay.delay = 0.02
    wires = Wires(relay, connections=4)
    wires.send(*[job(number, f"a@mfa{number % 5}.example") for number in range(40)])
    assert sorted(relay.message_ids()) == sorted(f"<{number}@replies.example>" for number in range(40))
    assert relay.most_open == 4
    wires.close()


def test_a_kept_line_that_was_closed_meanwhile_is_opened_again(relay, wires):
    send(wires)
    relay.drop_all()
    assert send(wires, 2).verdict == Verdict.TAKEN
    assert (relay.connections, len(relay.accepted)) == (2, 2)


@pytest.mark.parametrize("stage", ["rcpt", "data"])
@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_before_the_dot_nothing_is_in_doubt(relay, wires, stage, fault):
    relay.faults = [Fault(stage, hang=1.0 if fault == "hang" else 0.0)]
    result = send(wires)
    assert (result.verdict, result.about_domain) == (Verdict.LATER, True)
    assert result.words.startswith(stage)
    assert relay.accepted == []


@pytest.mark.parametrize("stage", ["connect", "hello", "mail"])
@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_trouble_before_the_letter_is_offered_is_about_the_relay(relay, wires, stage, fault):
    relay.faults = [Fault(stage, hang=1.0 if fault == "hang" else 0.0)]
    result = send(wires)
    assert (result.verdict, result.about_relay) == (Verdict.LATER, True)
    assert relay.accepted == []


@pytest.mark.parametrize("stage", ["dot", "after"])
@pytest.mark.parametrize("hang", [0.0, 1.0])
def test_between_the_dot_and_its_answer_nobody_can_know(relay, wires, stage, hang):
    relay.faults = [Fault(stage, hang=hang)]
    assert send(wires).verdict == Verdict.DOUBT


def test_a_250_that_was_read_is_final_even_when_the_line_breaks_at_once(relay, wires):
    relay.faults = [Fault("taken", reset=True, hang=0.05)]
    results = wires.send(*[job(number) for number in range(5)])
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    assert len(relay.accepted) == 5


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("answer", ["550 5.1.1 no", "451 4.7.1 later"])
def test_a_refusal_is_no_doubt_and_the_next_message_goes_on_the_same_line(relay, wires, stage, answer):
    relay.faults = [Fault(stage, answer, times=1)]
    results = wires.send(*[job(number) for number in range(3)])
    assert results[0].words == f"{stage}: {answer}"
    assert results[0].verdict == (Verdict.REFUSED if answer[0] == "5" and stage != "mail" else Verdict.LATER)
    assert [results[1].verdict, results[2].verdict] == [Verdict.TAKEN, Verdict.TAKEN]
    assert (relay.connections, len(relay.accepted)) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("530 5.7.0 authentication required", Verdict.LATER),
        ("550 5.7.1 not you", Verdict.LATER),
        ("552 5.3.4 too large", Verdict.REFUSED),
    ],
)
def test_a_refusal_of_the_sender_is_about_us_not_about_the_letter(relay, wires, answer, verdict):
    relay.faults = [Fault("mail", answer, times=1)]
    assert send(wires).verdict == verdict


@pytest.mark.parametrize("reply", ["²50 ok", "٢٥٠ ok", "25 ok", "ok", "250ok", "950 ok", " "])
def test_what_is_no_reply_ends_the_conversation_before_the_dot(relay, wires, reply):
    relay.faults = [Fault("rcpt", reply, times=1)]
    result = send(wires)
    assert (result.verdict, len(relay.accepted)) == (Verdict.LATER, 0)
    assert send(wires, 2).verdict == Verdict.TAKEN
    assert relay.connections == 2


def test_an_endless_reply_is_cut_off(relay, wires):
    relay.faults = [Fault("rcpt", "\r\n".join(["250-and so on"] * 5000), times=1)]
    assert "not an SMTP reply" in send(wires).words


def test_a_strange_answer_to_the_dot_leaves_a_doubt(relay, wires):
    relay.faults = [Fault("dot", "354 what", times=1)]
    assert send(wires).verdict == Verdict.DOUBT


@pytest.mark.parametrize("stage", ["connect", "hello"])
def test_a_relay_that_turns_everybody_away_says_nothing_about_the_letter(relay, wires, stage):
    relay.faults = [Fault(stage, "554 5.7.1 go away")]
    result = send(wires)
    assert (result.verdict, result.about_relay) == (Verdict.LATER, True)


def test_421_closes_the_line_and_the_next_message_goes_over_another(relay, wires):
    relay.faults = [Fault("rcpt", "421 4.3.2 shutting down", times=1)]
    results = wires.send(job(1), job(2))
    assert (results[1].verdict, results[2].verdict) == (Verdict.LATER, Verdict.TAKEN)
    assert len(relay.accepted) == 1


def test_421_after_some_messages_costs_no_letter_its_try(relay, wires):
    relay.limits.per_connection = 3
    results = wires.send(*[job(number) for number in range(7)])
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
    assert relay.connections >= 3


def test_a_relay_without_utf8_is_told_no_such_address(relay, wires):
    relay.extensions = tuple(one for one in relay.extensions if one != "SMTPUTF8")
    assert wires.send(job(1, "用户@mfa.example"))[1].verdict == Verdict.REFUSED
    assert send(wires, 2).verdict == Verdict.TAKEN


def test_a_relay_with_utf8_takes_addresses_in_any_script(relay, wires):
    assert wires.send(job(1, "用户@mfa.example"))[1].verdict == Verdict.TAKEN
    assert relay.accepted[0][0] == "用户@mfa.example"


def test_a_message_larger_than_the_relay_takes_is_not_offered(relay, wires):
    relay.extensions = (*[one for one in relay.extensions if "SIZE" not in one], "SIZE 500")
    results = wires.send(job(1, message=b"x" * 501 + b"\r\n"), job(2))
    assert (results[1].verdict, results[2].verdict) == (Verdict.REFUSED, Verdict.TAKEN)


def test_a_relay_of_old_that_knows_no_extensions(relay, wires):
    relay.ehlo = False
    results = wires.send(*[job(number) for number in range(3)])
    assert {result.verdict for result in results.values()} == {Verdict.TAKEN}


def test_354_without_a_recipient_is_ended_for_nothing(wires, relay):
    """RFC 2920 §3.1: the relay may say “go on” all the same, and must get its dot."""
    relay.faults = [Fault("rcpt", "550 5.1.1 no", times=1), Fault("data", "354 go on", times=1)]
    results = wires.send(job(1), job(2))
    assert (results[1].verdict, results[2].verdict) == (Verdict.REFUSED, Verdict.TAKEN)
    assert len(relay.accepted) == 1


@pytest.mark.parametrize("evil", ["a@b.example>\r\nRCPT TO:<c@d.example", "a b@c.example", "<a@b.example"])
def test_nothing_can_be_smuggled_into_the_envelope(relay, wires, evil):
    assert wires.send(job(1, evil))[1].verdict == Verdict.REFUSED
    assert relay.accepted == []


def test_the_relay_is_told_who_we_are(relay):
    wires = Wires(relay, username="user", password="pässword")
    assert send(wires).verdict == Verdict.TAKEN
    [said] = relay.credentials
    assert base64.b64decode(said.removeprefix("PLAIN ")).decode() == "\0user\0pässword"
    wires.close()


def test_a_wrong_password_is_about_us_not_about_the_letter(relay):
    relay.faults = [Fault("auth", "535 5.7.8 wrong")]
    wires = Wires(relay, username="user", password="wrong")
    result = send(wires)
    assert (result.verdict, result.about_relay) == (Verdict.LATER, True)
    assert relay.accepted == []
    wires.close()


def test_nothing_is_said_without_tls_where_it_is_demanded(relay):
    wires = Wires(relay, use_tls=True, username="user", password="secret")
    assert send(wires).verdict == Verdict.LATER
    assert (relay.accepted, relay.credentials) == ([], [])
    wires.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_and_password_travel_encrypted(tls, monkeypatch):
    with Relay(tls=tls) as relay:
        monkeypatch.setenv("SSL_CERT_FILE", str(relay.ca_file))
        chosen = {"use_tls": tls == "starttls", "use_ssl": tls == "implicit", "host": "localhost"}
        wires = Wires(relay, username="user", password="secret", timeout=5.0, **chosen)
        results = wires.send(*[job(number) for number in range(5)])
        assert {result.verdict for result in results.values()} == {Verdict.TAKEN}
        assert len(relay.credentials) == 1
        assert relay.violations == []
        wires.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_somebody_else_ends_the_conversation(tls, monkeypatch):
    with Relay(tls=tls, certified=("elsewhere.example",)) as relay:
        monkeypatch.setenv("SSL_CERT_FILE", str(relay.ca_file))
        chosen = {"use_tls": tls == "starttls", "use_ssl": tls == "implicit", "host": "localhost"}
        wires = Wires(relay, username="user", password="secret", timeout=5.0, **chosen)
        result = send(wires)
        assert (result.verdict, result.about_relay) == (Verdict.LATER, True)
        assert (relay.accepted, relay.credentials) == ([], [])
        wires.close()


@pytest.mark.parametrize(
    ("stage", "code", "verdict"),
    [
        (Stage.CONNECT, 554, Verdict.LATER),
        (Stage.MAIL, 550, Verdict.LATER),
        (Stage.MAIL, 552, Verdict.REFUSED),
        (Stage.RCPT, 550, Verdict.REFUSED),
        (Stage.RCPT, 452, Verdict.LATER),
        (Stage.DATA, 554, Verdict.REFUSED),
        (Stage.DOT, 451, Verdict.LATER),
        (Stage.DOT, 554, Verdict.REFUSED),
    ],
)
def test_what_a_refusal_means(stage, code, verdict):
    assert refusal(stage, code, "words").verdict == verdict


@pytest.mark.parametrize("stage", list(Stage))
def test_only_a_line_that_breaks_after_the_dot_leaves_a_doubt(stage):
    assert (broken(stage, "gone").verdict == Verdict.DOUBT) == (stage == Stage.DOT)


@pytest.mark.parametrize(
    ("message", "travels"),
    [
        (b".", b"..\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n..b", b"a\r\n...b\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_dots_are_doubled_and_the_end_is_a_line_end(message, travels):
    assert stuffed(message) == travels
