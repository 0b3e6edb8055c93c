"""One conversation of the relay: its states are as strict as Postfix's, and offences are written down."""

import re
from typing import TYPE_CHECKING, NoReturn

from tests import relay_syntax as syntax
from tests.relay_faults import Fault
from tests.relay_wire import Wire

if TYPE_CHECKING:
    from tests.relay import Relay

LAST = frozenset({"AUTH", "DATA", "EHLO", "HELO", "NOOP", "QUIT", "STARTTLS"})  # of a group of commands
ANSWER = re.compile(r"[2-5][0-9][0-9]([ -]|$)", re.ASCII)


class Session:
    """What is known about one connection and the message that is on its way."""

    def __init__(self, relay: "Relay", wire: Wire, number: int) -> None:
        self.relay, self.wire, self.number = relay, wire, number
        self.offered: dict[str, str] = {}  # extensions and their parameters, as EHLO was told
        self.greeted = self.encrypted = False
        self.taken = self.errors = 0
        self.forget()

    def forget(self) -> None:
        """Back to where MAIL is expected."""
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.about = self.message_id = ""  # whom and what the next answer is about
        self.utf8 = self.eight_bit = False

    def run(self) -> None:
        """Talks until one side leaves; raises OSError when that happens out of turn."""
        if self.relay.tls == "implicit":
            if fault := self.relay.fault("tls", ""):
                self.suffer(fault)
            self.encrypt()
        if self.wire.early():
            self.blame("input before the banner")
        self.answer("connect", self.relay.too_many() or "220 relay.example ESMTP")
        while line := self.wire.line():
            if not line.endswith(b"\r\n"):
                self.blame("a command that ends in a bare LF")
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            self.obey(verb.upper(), rest)
            if objection := self.relay.limits.too_wrong(self.errors):
                self.reply("errors", objection)

    def obey(self, verb: str, rest: str) -> None:
        """Does what one command says."""
        if verb in LAST or "PIPELINING" not in self.offered:
            self.alone(verb)
        handler = getattr(self, f"on_{verb.lower()}", None)
        if handler is None:
            self.reply("unknown", "502 5.5.1 unknown")
        else:
            handler(rest)

    def on_quit(self, rest: str) -> None:
        self.wire.say("221 2.0.0 bye")
        self.end()

    def on_noop(self, rest: str) -> None:
        self.wire.say("250 2.0.0 ok")

    def on_rset(self, rest: str) -> None:
        self.forget()
        self.wire.say("250 2.0.0 ok")

    def on_helo(self, rest: str) -> None:
        self.greet([])

    def on_ehlo(self, rest: str) -> None:
        if self.relay.ehlo:
            self.greet(self.relay.offers(encrypted=self.encrypted))
        else:
            self.reply("hello", "502 5.5.1 EHLO is not known here")

    def greet(self, offers: list[str]) -> None:
        """Answers HELO or EHLO."""
        self.forget()
        *lines, last = ["relay.example", *offers]
        if self.answer("hello", "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}") == "2":
            self.greeted, self.offered = True, dict(line.upper().partition(" ")[::2] for line in offers)

    def on_starttls(self, rest: str) -> None:
        if "STARTTLS" not in self.offered:
            self.reply("tls", "502 5.5.1 STARTTLS is not offered")
        elif self.answer("tls", "220 2.0.0 go ahead") == "2":
            self.encrypt()

    def encrypt(self) -> None:
        """Goes over to TLS, where nothing said before counts."""
        self.wire.encrypt(self.relay.certificate)
        self.encrypted, self.greeted, self.offered = True, False, {}
        self.forget()

    def on_auth(self, rest: str) -> None:
        if rest.upper() == "PLAIN":  # its credentials come on a line of their own
            self.wire.say("334 ")
            rest = f"PLAIN {self.wire.line().decode('ascii', 'replace').strip()}"
        self.relay.credentials.append(rest)
        if self.relay.tls and not self.encrypted:
            self.blame("AUTH in the clear")
        offered = "AUTH" in self.offered
        self.answer("auth", "235 2.7.0 welcome" if offered else "503 5.5.1 AUTH is not offered")

    def on_mail(self, rest: str) -> None:
        if not self.greeted or self.sender is not None:
            self.reply("mail", "503 5.5.1 nested MAIL" if self.greeted else "503 5.5.1 say hello first")
            return
        said = syntax.path("FROM", rest)
        self.utf8 = "SMTPUTF8" in said.parameters
        self.eight_bit = self.utf8 or said.parameters.get("BODY") == "8BITMIME"
        refusal = self.objection(said) or self.relay.limits.too_fast()
        if self.answer("mail", refusal or "250 2.1.0 ok") == "2":
            self.sender = said.address

    def on_rcpt(self, rest: str) -> None:
        if self.sender is None:
            self.reply("rcpt", "503 5.5.1 need MAIL first")
            return
        said = syntax.path("TO", rest)
        self.about = said.address
        refusal = self.objection(said) or self.relay.not_yet(self.sender, said.address)
        if self.answer("rcpt", refusal or "250 2.1.5 ok") == "2":
            self.recipients.append(said.address)

    def on_data(self, rest: str) -> None:
        if self.sender is None:
            self.reply("data", "503 5.5.1 need MAIL first")
            return
        self.about = ",".join(self.recipients) or self.about
        if self.answer("data", "354 go on" if self.recipients else "554 5.5.1 no valid recipients") == "3":
            self.receive(self.wire.body())
            self.forget()

    def receive(self, raw: bytes | None) -> None:
        """Judges a body, takes it or not, and answers its final dot."""
        if raw is None:
            self.note("broken", "")
            raise ConnectionError("the body broke off: nothing is accepted")
        message = syntax.unstuffed(raw)
        self.message_id = syntax.message_id(message)
        self.note("body", "")
        if "PIPELINING" not in self.offered:
            self.alone("the final dot")
        for offence in syntax.offences(raw, message, eight_bit=self.eight_bit):
            self.blame(offence)
        self.pause(self.relay.delay)
        if not self.recipients:
            self.answer("dot", "554 5.5.1 no valid recipients")
        elif syntax.too_big(len(message), self.offered):
            self.answer("dot", "552 5.3.4 message too big")
        elif fault := self.relay.fault("dot", self.about):
            self.suffer(fault)
        else:
            self.take(message)

    def take(self, message: bytes) -> None:
        """Accepts a message for good and says so."""
        assert self.sender is not None
        self.relay.accept(self.sender, self.recipients, message)
        self.taken, self.errors = self.taken + 1, 0
        if fault := self.relay.fault("after", self.about):
            self.suffer(fault)
            return
        self.reply("dot", "250 2.0.0 taken")
        if fault := self.relay.fault("taken", self.about):
            self.suffer(fault)
        if enough := self.relay.limits.enough(self.taken):
            self.reply("taken", enough)

    def objection(self, said: syntax.Path) -> str:
        """The refusal of an address, if any; an offence in it is written down."""
        refusal, offence = syntax.objection(said, self.offered, utf8=self.utf8)
        if offence:
            self.blame(offence)
        return refusal

    def answer(self, stage: str, usual: str) -> str:
        """Says the usual unless a fault strikes; the first digit of what was said."""
        fault = self.relay.fault(stage, self.about)
        return self.reply(stage, usual) if fault is None else self.suffer(fault)

    def suffer(self, fault: Fault) -> str:
        """Does what a fault says; the first digit of its answer, if the connection survives it."""
        if fault.answer and not fault.answer.startswith("421"):
            return self.reply(fault.stage, fault.answer)
        self.note(fault.stage, fault.answer)
        if fault.answer:
            self.wire.say(fault.answer)
        self.wire.flush()
        self.relay.pause(fault.hang)
        if fault.reset:
            self.wire.reset()
        elif fault.answer:
            self.end()
        self.wire.cut()
        raise ConnectionError("dropped, as told")

    def reply(self, stage: str, text: str) -> str:
        """Notes and says an answer; its first digit, "" when it is none. A 421 ends the conversation."""
        self.note(stage, text)
        self.pause(self.relay.slowness(self.about))
        self.wire.say(text)
        self.errors += text[0] in "45"
        if text.startswith("421"):
            self.end()
        return text[0] if ANSWER.match(text) else ""

    def end(self) -> NoReturn:
        """Hangs up in order."""
        self.relay.leave(self)
        self.wire.hang_up()
        raise ConnectionError("hung up")

    def pause(self, seconds: float) -> None:
        """Lets time pass; what was said so far is on its way meanwhile."""
        if seconds:
            self.wire.flush()
            self.relay.pause(seconds)

    def alone(self, what: str) -> None:
        """Blames input that did not wait for the answer to `what`."""
        if self.wire.early():
            self.blame(f"input after {what} before its answer")

    def blame(self, offence: str) -> None:
        """Writes down what the client must not do."""
        self.relay.violations.append(f"connection {self.number}: {offence}")

    def note(self, stage: str, answer: str) -> None:
        """Keeps an event in the relay's log."""
        self.relay.note(self.number, stage, (self.about, self.message_id), answer)
