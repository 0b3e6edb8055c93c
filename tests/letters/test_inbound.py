"""The one intake: bytes first, once, by whatever door."""

import hashlib
import threading

import pytest
from django.db import connection

from letters import inbound
from letters.models import Incoming

pytestmark = pytest.mark.django_db
RAW = b"From: a@mfa.fr.example\r\nTo: r-x@replies.demarche.example\r\nSubject: Bonjour\r\n\r\nOui.\r\n"


def take(raw: bytes, to: str = "r-x@replies.demarche.example", door: str = "lmtp") -> tuple[Incoming, bool]:
    return inbound.take_in(raw, envelope_from="a@mfa.fr.example", envelope_to=[to], door=door)


def test_the_bytes_are_kept_as_sent():
    row, new = take(RAW)
    row.refresh_from_db()
    assert new
    assert bytes(row.raw) == RAW
    assert row.sha256 == hashlib.sha256(RAW).hexdigest()
    assert (row.state, row.size, row.door) == (Incoming.State.NEW, len(RAW), "lmtp")


@pytest.mark.parametrize(
    "by_another_way",
    [
        RAW,
        RAW.replace(b"\r\n", b"\n"),
        b"Return-Path: <a@mfa.fr.example>\nDelivered-To: us\nReceived: from x\n\tby y; now\n"
        + RAW.replace(b"\r\n", b"\n"),
        b"From a@mfa.fr.example Mon Nov 23 10:00:00 2026\n" + RAW.replace(b"\r\n", b"\n"),
        RAW + b"\r\n",
    ],
)
def test_the_same_mail_by_two_ways_is_one_row(by_another_way):
    first, _ = take(RAW)
    second, new = take(by_another_way, door="pipe")
    assert (second.pk, new) == (first.pk, False)


@pytest.mark.parametrize(
    "other",
    [RAW.replace(b"Oui", b"Non"), RAW.replace(b"Bonjour", b"Bonsoir"), RAW.replace(b"a@mfa", b"b@mfa")],
)
def test_another_mail_is_another_row(other):
    first, _ = take(RAW)
    second, new = take(other)
    assert new
    assert first.pk != second.pk


def test_one_answer_to_two_letters_is_filed_again_for_the_second():
    row, _ = take(RAW)
    Incoming.objects.update(state=Incoming.State.FILED)
    take(RAW, to="r-y@replies.demarche.example")
    row.refresh_from_db()
    assert row.envelope_to == ["r-x@replies.demarche.example", "r-y@replies.demarche.example"]
    assert row.state == Incoming.State.NEW


def test_the_null_sender_is_told_from_an_unknown_one():
    null, _ = inbound.take_in(RAW, envelope_from="", envelope_to=[], door="lmtp")
    unknown, _ = inbound.take_in(RAW + b"x", envelope_from=None, envelope_to=[], door="pipe")
    assert (null.envelope_from, unknown.envelope_from) == ("<>", "")


@pytest.mark.parametrize(
    "raw",
    [
        bytes(range(256)) * 40,
        b"\x00" * 50 + b"x",
        b"no header at all",
        b": :\n\n",
        b"Subject: \xff\xfe\n\n\x80",
    ],
)
def test_binary_and_broken_mail_is_kept_too(raw):
    row, _ = take(raw)
    row.refresh_from_db()
    assert bytes(row.raw) == raw


def test_a_mail_of_ten_megabytes_is_kept():
    row, _ = take(RAW + b"x" * 10_000_000)
    assert row.size > 10_000_000


def test_what_is_too_large_or_empty_is_refused(settings):
    settings.INCOMING_MAX_BYTES = 100
    with pytest.raises(inbound.TooLarge):
        take(RAW + b"x" * 100)
    with pytest.raises(inbound.Empty):
        take(b" \r\n")
    assert not Incoming.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_mail_by_eight_doors_at_once_is_one_row():
    barrier, results = threading.Barrier(8), []

    def arrive() -> None:
        barrier.wait()
        try:
            results.append(take(RAW)[1])
        finally:
            connection.close()

    threads = [threading.Thread(target=arrive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert Incoming.objects.count() == 1
