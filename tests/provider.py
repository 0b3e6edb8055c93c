"""A provider's API on this machine, which answers what a test tells it to; and jobs to offer to it."""

import dataclasses
import json
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from letters.sending.jobs import Job, Result
from letters.sending.mime import Mail, mailbox


@dataclass
class Answer:
    """One answer. `hangs` waits so long before it; `breaks` ends the connection: "before", "within" or ""."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: float = 0.0
    breaks: str = ""

    @property
    def raw(self) -> bytes:
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: str
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Provider:
    """A server that takes every request; its `answers` come first come first served, the last one stays."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers or [Answer()])
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self) -> Answer:
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length).decode()
                asked = Asked(self.path, dict(self.headers), body, self.client_address[1])
                provider.asked.append(asked)
                answer = provider.next_answer()
                time.sleep(answer.hangs)
                if answer.breaks == "before":
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self._answer(answer)

            def _answer(self, answer: Answer) -> None:
                self.send_response_only(answer.status)
                headers = {"Date": formatdate(usegmt=True), "Content-Type": "application/json"}
                for name, value in (headers | answer.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.raw)))
                self.end_headers()
                if answer.breaks == "within":
                    self.close_connection = True
                    self.wfile.write(answer.raw[: len(answer.raw) // 2])
                else:
                    self.wfile.write(answer.raw)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def closed_port() -> str:
    """The address of a service that is not there."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}/"


# What each says when it takes one message, from its documentation; the last is our number for it there.
YES = {
    "brevo": ({"messageId": "<1@smtp-relay.mailin.fr>"}, {}, "<1@smtp-relay.mailin.fr>"),
    "mailersend": ("", {"X-Message-Id": "abc", "Content-Type": "text/html"}, "abc"),
    "mailgun": ({"id": "<1@x.example>", "message": "Queued. Thank you."}, {}, "<1@x.example>"),
    "mailjet": ({"Messages": [{"Status": "success", "To": [
        {"Email": "cabinet@mfa.fr.example", "MessageID": 70650219165027410}]}]}, {}, "70650219165027410"),
    "mailtrap": ({"success": True, "message_ids": ["0c7fd939"]}, {}, "0c7fd939"),
    "mandrill": ([{"email": "cabinet@mfa.fr.example", "status": "queued", "_id": "abc"}], {}, "abc"),
    "postal": ({"status": "success", "data": {"messages": {"cabinet@mfa.fr.example": {"id": 7}}}}, {}, "7"),
    "postmark": ([{"ErrorCode": 0, "Message": "OK", "MessageID": "b7bc2f4a"}], {}, "b7bc2f4a"),
    "resend": ({"data": [{"id": "49a3999c"}]}, {}, "49a3999c"),
    "scaleway": ({"emails": [
        {"id": "e1", "mail_rcpt": "cabinet@mfa.fr.example", "status": "new"}]}, {}, "e1"),
    "sendgrid": ("", {}, None),
    "sparkpost": ({"results": {"total_accepted_recipients": 1, "total_rejected_recipients": 0,
        "id": "102618"}}, {}, "102618"),
    "unisender_go": ({"status": "success", "job_id": "1Zy", "emails": ["cabinet@mfa.fr.example"]}, {}, None),
}  # fmt: skip


def job(number: int = 1, **changes: object) -> Job:
    """A letter ready to leave."""
    names = {"sender", "subject", "text", "html", "message_id", "reply_to", "language", "extra"}
    said = {name: changes.pop(name) for name in names & changes.keys()}
    recipient = changes.pop("recipient", "cabinet@mfa.fr.example")
    mail = Mail(
        **{
            "sender": mailbox("Amélie Dupont", "peace@replies.example"),
            "recipient": recipient,
            "subject": "Paix",
            "text": ["Monsieur,\n", f"lettre {number}\n"],
            "html": f"<p>lettre {number}</p>",
            "message_id": f"<{number}@replies.example>",
            "at": datetime(2026, 11, 23, tzinfo=UTC),
            "reply_to": f"r{number}@replies.example",
            "language": "fr",
            "extra": (("Auto-Submitted", "auto-generated"),),
        }
        | said
    )
    values = {
        "number": number, "kind": "letter", "campaign": 1, "sender": f"b+{number}@replies.example",
        "recipient": recipient, "domain": "mfa.fr.example", "mail": mail, "checked_at": time.monotonic(),
        "attempts": 1, "first_tried_at": None,
    }  # fmt: skip
    known = {field.name for field in dataclasses.fields(Job)}
    return Job(**{name: value for name, value in (values | changes).items() if name in known})


def verdicts(results: list[Result]) -> list[str]:
    """What became of each, in a word."""
    return [result.verdict.value for result in results]
