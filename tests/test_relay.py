"""The relay of the tests is itself as strict as it says: told over raw sockets."""

import hashlib
import ssl
import threading

import pytest

from tests.relay import EXTENSIONS, Relay
from tests.relay_caller import ENVELOPE, MAIL, RCPT, Caller, letter


@pytest.fixture
def relay():
    with Relay() as running:
        yield running


def offences(relay: Relay) -> list[str]:
    return [said.partition(": ")[2] for said in relay.violations]


def test_the_next_envelope_may_travel_with_the_body(relay):
    caller = Caller(relay)
    assert caller.ask(*ENVELOPE) == "250 250 354"
    caller.say(letter(1), ".", *ENVELOPE)
    assert caller.socket.recv(9999).count(b"\r\n") == 4  # one write for all of them, in order
    assert caller.ask(letter(2) + "\r\n.") == "250"
    assert relay.violations == []
    assert relay.message_ids() == ["<1@letters.example>", "<2@letters.example>"]
    assert relay.accepted[0] == ("cabinet@mfa.fr.example", letter(1).removesuffix(".").encode() + b"\r\n")
    assert relay.senders == ["b-1@replies.example"] * 2


def test_what_is_offered_can_be_chosen(relay):
    for extensions in (EXTENSIONS, ("SIZE 100",), ()):
        relay.extensions = extensions
        lines = Caller(relay).hello.splitlines()
        assert [line[4:] for line in lines] == ["relay.example", *extensions]
        assert [line[:4] for line in lines] == ["250-"] * len(extensions) + ["250 "]


def test_a_group_is_an_offence_where_pipelining_is_not_offered(relay):
    relay.extensions = ("8BITMIME",)
    polite, hasty = Caller(relay), Caller(relay)
    assert [polite.ask(line) for line in ENVELOPE] == ["250", "250", "354"]
    assert polite.ask(letter() + "\r\n.") == "250"
    assert relay.violations == []
    assert hasty.ask(*ENVELOPE) == "250 250 354"
    hasty.ask(letter() + "\r\n.", MAIL)
    assert offences(relay) == [
        f"input after {what} before its answer" for what in ("MAIL", "RCPT", "the final dot")
    ]


@pytest.mark.parametrize(("verb", "line"), [("DATA", "DATA"), ("EHLO", "EHLO me"), ("NOOP", "NOOP")])
def test_some_commands_end_their_group(relay, verb, line):
    Caller(relay).ask(MAIL, RCPT, line, ".")
    assert offences(relay) == [f"input after {verb} before its answer"]


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ((RCPT,), "503"),
        (("DATA",), "503"),
        ((MAIL, MAIL), "250 503"),
        ((MAIL, "DATA"), "250 554"),
        ((MAIL, RCPT, "RSET", "DATA"), "250 250 250 503"),
        ((MAIL, RCPT, "EHLO me", "DATA"), "250 250 250 503"),
        (("MAIL FROM:x@y.example",), "501"),
        (("MAIL FROM: <x@y.example>",), "501"),
        (('MAIL FROM:<"a >b"@y.example> SIZE=9 BODY=8BITMIME',), "250"),
        (("MAIL TO:<x@y.example>",), "501"),
        (("MAIL FROM:<> SIZE=big",), "501"),
        (("MAIL FROM:<>", "RCPT TO:<>", "RCPT TO:<nobody>"), "250 501 250"),
        (("MAIL FROM:<> SIZE=30000001", RCPT, "DATA"), "552 503 503"),
        (("MAIL FROM:<> RET=HDRS",), "555"),
        (("TURN", "NOOP"), "502 250"),
        (("STARTTLS",), "502"),
    ],
)
def test_the_order_of_commands_is_kept(relay, said, codes):
    assert Caller(relay).ask(*said) == codes


def test_hello_comes_first(relay):
    assert Caller(relay, hello="").ask(*ENVELOPE) == "503 503 503"


@pytest.mark.parametrize(
    ("body", "offence"),
    [
        ("smuggled\n.\nMAIL FROM:<evil@x.example>", "a bare LF in the body"),
        ("half\r\n.\n.\r\r\nok", "a bare LF in the body"),
        ("x\ry", "a bare CR in the body"),
        ("a\0b", "a NUL in the body"),
        ("x" * 999, "a line over 998 octets in the body"),
        (".forgotten", "a dot that was not doubled in the body"),
        ("x\r\n.forgotten", "a dot that was not doubled in the body"),
        ("é", "8-bit octets in a body not announced as 8BITMIME"),
    ],
)
def test_offences_in_a_body_are_written_down(relay, body, offence):
    caller = Caller(relay)
    caller.ask(*ENVELOPE)
    assert caller.ask(f"{body}\r\n.") == "250"
    assert offence in offences(relay)
    assert len(relay.accepted) == 1


def test_a_body_within_the_rules_is_no_offence(relay):
    caller = Caller(relay)
    caller.ask(f"{MAIL} BODY=8BITMIME", RCPT, "DATA")
    caller.say("x" * 998, "." + "." * 998, "..", "é", ".")
    assert caller.hear().startswith("250")
    assert relay.violations == []
    assert relay.accepted[0][1] == b"\r\n".join([b"x" * 998, b"." * 998, b".", "é".encode(), b""])


def test_addresses_in_other_scripts_need_smtputf8(relay):
    caller = Caller(relay)
    assert caller.ask(MAIL, "RCPT TO:<用户@mfa.example>", "RSET") == "250 553 250"
    assert offences(relay) == ["用户@mfa.example without SMTPUTF8"]
    assert caller.ask(f"{MAIL} SMTPUTF8", "RCPT TO:<用户@mfa.example>") == "250 250"


def test_a_parameter_needs_its_extension(relay):
    relay.extensions = ("PIPELINING",)
    assert Caller(relay).ask(f"{MAIL} SIZE=10") == "555"
    assert offences(relay) == ["SIZE where it is not offered"]


def test_a_message_beyond_the_size_is_refused_at_the_dot(relay):
    relay.extensions = ("SIZE 20",)
    assert Caller(relay).send() == "250 250 354 552"
    assert relay.accepted == []


def test_a_relay_may_know_helo_only(relay):
    relay.ehlo = False
    caller = Caller(relay)
    assert caller.hello.startswith("502")
    assert caller.ask("HELO me.example") == "250"
    assert caller.ask(f"{MAIL} SIZE=1", "MAIL FROM:<a@b.example>") == "555 250"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_with_its_own_authority(tls):
    with Relay(tls=tls) as relay:
        caller = Caller(relay)
        if tls == "starttls":
            assert caller.ask("STARTTLS") == "220"
            caller.encrypt(relay)
            assert caller.ask(MAIL) == "503"  # what was said before TLS is forgotten
        assert caller.ask("EHLO me", "AUTH PLAIN AHgAeQ==").endswith("235")
        assert caller.send() == "250 250 354 250"
        assert caller.ask("STARTTLS") == "502"
        assert relay.url.startswith({"starttls": "smtp://", "implicit": "smtps://"}[tls])
        relay.drop_all()
        assert caller.hear() == ""


def test_the_certificate_may_be_for_somebody_else():
    with (
        Relay(tls="implicit", certified=("other.example",)) as relay,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        Caller(relay)
    assert relay.log == []


def test_commands_injected_before_tls_are_thrown_away():
    with Relay(tls="starttls") as relay:
        caller = Caller(relay)
        assert caller.ask("AUTH PLAIN AHgAeQ==") == "503"
        caller.say("STARTTLS", "MAIL FROM:<evil@x.example>")
        assert caller.hear()[:3] == "220"
        caller.encrypt(relay)
        assert caller.ask("EHLO me") == "250"
        assert caller.ask(MAIL) == "250"
    assert offences(relay) == ["AUTH in the clear", "input after STARTTLS before its answer"]


def test_the_log_file_knows_before_the_client_does(tmp_path):
    with Relay(log_file=tmp_path / "log") as relay:
        Caller(relay).send(5)
        digest = hashlib.sha256(relay.accepted[0][1]).hexdigest()
        assert relay.log_file.read_text() == f"<5@letters.example>\tcabinet@mfa.fr.example\t{digest}\n"


def test_two_that_pipeline_at_once_get_all_their_answers(relay):
    text = "\r\n".join(["x" * 76] * 50)

    def run() -> None:
        caller = Caller(relay)
        caller.ask(*ENVELOPE)
        for number in range(1000):
            caller.say(letter(number, text), ".", *ENVELOPE)
            for _ in range(4):
                caller.hear()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(relay.accepted) == 2000
