"""The SMTP client knows how far it got, whatever the relay does."""

import base64

import pytest

from letters.sending.smtp import Connection, SmtpError, Stage, stuffed
from letters.sending.smtp import Relay as Where
from tests.relay import Fault, Relay

MESSAGE = b"Subject: x\r\n\r\nhello\r\n.a line with a dot\r\n"


@pytest.fixture
def relay():
    with Relay() as running:
        yield running


def connect(relay: Relay, **options: object) -> Connection:
    return Connection(Where(**({"host": "127.0.0.1", "port": relay.port, "timeout": 0.5} | options)))


def send(connection: Connection) -> str:
    return connection.submit("b-1@replies.example", "cabinet@mfa.fr.example", MESSAGE)


def test_a_message_arrives_as_it_was_dots_included(relay):
    assert send(connect(relay)) == "2.0.0 taken"
    assert relay.accepted == [("cabinet@mfa.fr.example", MESSAGE)]


def test_the_connection_is_kept(relay):
    connection = connect(relay)
    send(connection)
    send(connection)
    assert (relay.connections, len(relay.accepted)) == (1, 2)


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(relay):
    connection = connect(relay)
    send(connection)
    relay.drop_all()
    send(connection)
    assert (relay.connections, len(relay.accepted)) == (2, 2)


@pytest.mark.parametrize("stage", ["connect", "hello", "mail", "rcpt", "data"])
@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_before_the_dot_nothing_is_in_doubt(relay, stage, fault):
    relay.faults = [Fault(stage, hang=1.0 if fault == "hang" else 0.0)]
    with pytest.raises(SmtpError) as caught:
        send(connect(relay))
    assert caught.value.stage == Stage(stage)
    assert not caught.value.in_doubt
    assert not caught.value.permanent
    assert relay.accepted == []


@pytest.mark.parametrize("stage", ["dot", "after"])
def test_between_the_dot_and_its_answer_nobody_can_know(relay, stage):
    relay.faults = [Fault(stage, hang=1.0)]
    with pytest.raises(SmtpError) as caught:
        send(connect(relay))
    assert caught.value.in_doubt


@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
@pytest.mark.parametrize(("answer", "permanent"), [("550 5.1.1 no", True), ("451 4.7.1 later", False)])
def test_a_refusal_is_no_doubt_and_the_next_message_goes_on_the_same_line(relay, stage, answer, permanent):
    relay.faults = [Fault(stage, answer, times=1)]
    connection = connect(relay)
    with pytest.raises(SmtpError) as caught:
        send(connection)
    assert (caught.value.code, caught.value.permanent) == (int(answer[:3]), permanent)
    assert not caught.value.in_doubt
    send(connection)
    assert (relay.connections, len(relay.accepted)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("530 5.7.0 authentication required", False),
        ("550 5.7.1 not you", False),
        ("552 5.3.4 too large", True),
    ],
)
def test_a_refusal_of_the_sender_is_about_us_not_about_the_letter(relay, answer, permanent):
    relay.faults = [Fault("mail", answer, times=1)]
    with pytest.raises(SmtpError) as caught:
        send(connect(relay))
    assert caught.value.permanent is permanent


@pytest.mark.parametrize("reply", ["²50 ok", "٢٥٠ ok", "25 ok", "ok", "250ok", "950 ok", ""])
def test_what_is_no_reply_ends_the_conversation_before_the_dot(relay, reply):
    relay.faults = [Fault("rcpt", reply or " ", times=1)]
    connection = connect(relay)
    with pytest.raises(SmtpError) as caught:
        send(connection)
    assert (caught.value.code, caught.value.stage, connection.open) == (0, Stage.RCPT, False)


def test_an_endless_reply_is_cut_off(relay):
    relay.faults = [Fault("rcpt", "\r\n".join(["250-and so on"] * 5000), times=1)]
    with pytest.raises(SmtpError, match="not an SMTP reply"):
        send(connect(relay))


def test_a_fault_of_our_own_before_the_dot_leaves_no_doubt(relay, monkeypatch):
    monkeypatch.setattr("letters.sending.smtp.stuffed", lambda message: 1 / 0)
    connection = connect(relay)
    with pytest.raises(SmtpError) as caught:
        send(connection)
    assert not caught.value.in_doubt
    assert not connection.open


@pytest.mark.parametrize("stage", ["connect", "hello"])
def test_a_relay_that_turns_everybody_away_says_nothing_about_the_letter(relay, stage):
    relay.faults = [Fault(stage, "554 5.7.1 go away")]
    with pytest.raises(SmtpError) as caught:
        send(connect(relay))
    assert not caught.value.permanent


def test_421_closes_the_connection_and_the_next_try_opens_another(relay):
    relay.faults = [Fault("rcpt", "421 4.3.2 shutting down", times=1)]
    connection = connect(relay)
    with pytest.raises(SmtpError) as caught:
        send(connection)
    assert caught.value.code == 421
    assert not connection.open
    send(connection)
    assert len(relay.accepted) == 1


def test_a_relay_without_utf8_is_told_no_such_address(relay):
    relay.extensions = ("8BITMIME",)
    with pytest.raises(SmtpError) as caught:
        connect(relay).submit("b-1@replies.example", "用户@mfa.example", MESSAGE)
    assert caught.value.permanent
    send(connect(relay))


@pytest.mark.parametrize("evil", ["a@b.example>\r\nRCPT TO:<c@d.example", "a b@c.example", "<a@b.example"])
def test_nothing_can_be_smuggled_into_the_envelope(relay, evil):
    with pytest.raises(SmtpError):
        connect(relay).submit("b-1@replies.example", evil, MESSAGE)
    assert relay.accepted == []


def test_the_relay_is_told_who_we_are(relay):
    send(connect(relay, username="user", password="pässword"))
    [said] = relay.credentials
    assert base64.b64decode(said.removeprefix("PLAIN ")).decode() == "\0user\0pässword"
    assert len(relay.accepted) == 1


def test_a_wrong_password_is_about_us_not_about_the_letter(relay):
    relay.faults = [Fault("auth", "535 5.7.8 wrong")]
    with pytest.raises(SmtpError) as caught:
        send(connect(relay, username="user", password="wrong"))
    assert (caught.value.stage, caught.value.permanent) == (Stage.AUTH, False)
    assert "wrong" not in caught.value.text.replace("5.7.8 wrong", "")


def test_where_tls_is_demanded_nothing_is_said_without_it(relay):
    """A relay, or somebody between, that offers no STARTTLS gets neither password nor letter."""
    with pytest.raises(SmtpError) as caught:
        send(connect(relay, use_tls=True, username="user", password="secret"))
    assert caught.value.stage == Stage.HELLO
    assert (relay.credentials, relay.accepted) == ([], [])


def test_nobody_there_is_an_error_at_connect():
    with Relay() as relay:
        port = relay.port
    with pytest.raises(SmtpError) as caught:
        send(Connection(Where(host="127.0.0.1", port=port, timeout=1)))
    assert caught.value.stage == Stage.CONNECT


def test_a_relay_that_dribbles_cannot_hold_a_worker_for_ever(relay):
    relay.faults = [Fault("rcpt", hang=5)]
    with pytest.raises(SmtpError):
        send(connect(relay, timeout=30, deadline=0.5))


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
