"""The LMTP and SMTP doors: ours only, stored before the answer, "try again" when it cannot be stored."""

import asyncio
import os
import smtplib
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, InterfaceError

from letters import inbound, listening
from letters.models import Incoming

OURS = "r-x@replies.demarche.example"
RAW = "From: a@mfa.fr.example\r\nSubject: Bonjour\r\n\r\nOui.\r\n"


@contextmanager
def listener(scheme: str = "smtp"):
    """A listener in a thread of its own; yields its port."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), {}

    def started(host: str, port: int) -> None:
        found["port"] = port
        ready.set()

    async def serve() -> None:
        found["task"] = asyncio.current_task()
        await listening.listen(f"{scheme}://127.0.0.1:0", started)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except asyncio.CancelledError:
            pass  # told to stop
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield found["port"]
    finally:
        loop.call_soon_threadsafe(found["task"].cancel)
        thread.join(10)


def deliver(port: int, raw: str, to: str = OURS) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as door:
        door.sendmail("a@mfa.fr.example", [to], raw)


@pytest.mark.django_db(transaction=True)
def test_lmtp_answers_for_each_recipient():
    """RFC 2033 §4.2: else a mail server waits for the missing answers and delivers again."""
    with listener("lmtp") as port, smtplib.LMTP("127.0.0.1", port, timeout=10) as door:
        door.ehlo_or_helo_if_needed()
        door.mail("a@mfa.fr.example")
        for name in ("x", "y", "z"):
            door.rcpt(f"r-{name}@replies.demarche.example")
        door.putcmd("data")
        door.getreply()
        door.send(RAW.encode() + b".\r\n")
        assert [door.getreply()[0] for _ in range(3)] == [250, 250, 250]
    assert len(Incoming.objects.get().envelope_to) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "client"), [("smtp", smtplib.SMTP), ("lmtp", smtplib.LMTP)])
def test_mail_for_us_is_stored_before_the_answer(scheme, client):
    with listener(scheme) as port, client("127.0.0.1", port, timeout=10) as door:
        door.sendmail("a@mfa.fr.example", [OURS], RAW)
        row = Incoming.objects.get()
    assert (row.door, row.envelope_from, row.envelope_to) == (scheme, "a@mfa.fr.example", [OURS])
    assert bytes(row.raw) == RAW.encode()


@pytest.mark.django_db(transaction=True)
def test_mail_for_others_is_refused():
    with listener() as port, pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        deliver(port, RAW, to="someone@elsewhere.example")
    assert caught.value.recipients["someone@elsewhere.example"][0] == 550
    assert not Incoming.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [DatabaseError("down"), InterfaceError("closed"), OSError("full")])
def test_when_it_cannot_be_stored_the_sender_keeps_it(monkeypatch, error):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(inbound, "take_in", broken)
    with listener() as port, pytest.raises(smtplib.SMTPDataError) as caught:
        deliver(port, RAW)
    assert caught.value.smtp_code == 451


@pytest.mark.django_db(transaction=True)
def test_too_large_and_empty_mail_is_refused_for_good(settings):
    settings.INCOMING_MAX_BYTES = 2000
    with listener() as port:
        for raw, code in ((RAW + "x" * 5000, 552), ("\r\n", 554)):
            with pytest.raises(smtplib.SMTPException) as caught:
                deliver(port, raw)
            assert str(code) in str(caught.value)
    assert not Incoming.objects.exists()


@pytest.mark.parametrize("address", ["lmtp://127.0.0.1", "http://127.0.0.1:25", "nonsense"])
def test_an_address_that_cannot_be_read_says_what_is_wanted(address):
    with pytest.raises(ValueError, match="INBOUND_LISTEN must"):
        asyncio.run(listening.listen(address, print))


def pipe(raw: bytes, *args: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "manage.py", "take_in", *args],
        input=raw, env=os.environ | environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def database(tmp_path) -> dict[str, str]:
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'pipe.sqlite3'}"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        env=os.environ | environment,
        capture_output=True,
        check=True,
    )
    return environment


def stored(database: dict[str, str]) -> str:
    rows = "[(r.envelope_to, r.envelope_from) for r in Incoming.objects.order_by('pk')]"
    code = f"from letters.models import Incoming; print({rows})"
    found = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", code],
        env=os.environ | database, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found.stdout.strip()


def test_the_pipe_finds_the_recipient_where_mail_servers_put_it(database):
    given = database | {"ORIGINAL_RECIPIENT": "original@x.example", "RECIPIENT": "recipient@x.example"}
    assert pipe(b"a: 1\n\nx", "--recipient", "option@x.example", **given).returncode == 0
    assert pipe(b"a: 2\n\nx", **given, SENDER="a@mfa.fr.example").returncode == 0
    assert pipe(b"a: 3\n\nx", **database, RECIPIENT="recipient@x.example").returncode == 0
    assert stored(database) == (
        "[(['option@x.example'], ''), (['original@x.example'], 'a@mfa.fr.example'), "
        "(['recipient@x.example'], '')]"
    )


def test_the_pipe_says_try_again_while_the_database_is_away(tmp_path):
    done = pipe(b"a: 1\n\nx", DATABASE_URL=f"sqlite:///{tmp_path / 'nowhere' / 'x.sqlite3'}")
    assert done.returncode == 75
    assert b"try again" in done.stderr


def test_the_pipe_refuses_nothing_at_all_for_good(database):
    assert pipe(b"", **database).returncode == 65


def test_the_listener_says_when_its_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "inbound", "--listen", f"lmtp://127.0.0.1:{port}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Cannot listen" in done.stderr
