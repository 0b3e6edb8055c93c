"""A client without manners, to try the relay with."""

import socket
import ssl

from tests.relay import Relay

MAIL, RCPT = "MAIL FROM:<b-1@replies.example>", "RCPT TO:<cabinet@mfa.fr.example>"
ENVELOPE = (MAIL, RCPT, "DATA")


def letter(number: int = 1, text: str = "hello") -> str:
    return f"Message-ID: <{number}@letters.example>\r\nSubject: x\r\n\r\n{text}\r\n.."


class Caller:
    """A client without manners: says what it is told and reads the answers."""

    def __init__(self, relay: Relay, *, hello: str = "EHLO me.example") -> None:
        self.socket = socket.create_connection(("127.0.0.1", relay.port), timeout=5)
        self.file = self.socket.makefile("rb")
        if relay.tls == "implicit":
            self.encrypt(relay)
        self.banner = self.hear()
        if hello:
            self.say(hello)
            self.hello = self.hear()

    def encrypt(self, relay: Relay) -> None:
        context = ssl.create_default_context(cafile=relay.ca_file)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def say(self, *lines: str) -> None:
        """Everything in one write."""
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> str:
        """One whole answer; "" when the relay has hung up."""
        said = ""
        while line := self.file.readline().decode():
            said += line
            if line[3:4] != "-":
                break
        return said

    def ask(self, *lines: str) -> str:
        """The codes of the answers to each line, all said in one write."""
        self.say(*lines)
        return " ".join(self.hear()[:3] for _ in lines)

    def send(self, number: int = 1, *, envelope: tuple[str, ...] = ENVELOPE) -> str:
        """A whole message; the codes of its answers."""
        codes = self.ask(*envelope)
        return f"{codes} {self.ask(letter(number) + '\r\n.')}" if codes.endswith("354") else codes
