"""`manage.py ledger`: every delivery as a line of JSON, and how many there are of each."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from letters import lifecycle
from letters.models import Delivery
from letters.rules.ledger import Outcome, State
from letters.sending import writing
from tests import builders
from tests.test_house import ROOT

KEYS = [
    "letter", "kind", "recipient", "message_id", "state", "outcome", "reply_to", "bounce", "tries", "times",
]  # fmt: skip
TIMES = ["created", "due", "first_tried", "submitted", "finished"]


@pytest.fixture
def peace(db):
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    lifecycle.launch(row, by="test")
    builders.confirmed(row)
    return row


def database_url():
    """The test database, as a process of its own reads it."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}@{quote(given['HOST'], safe='')}/{given['NAME']}"


def told(*words):
    out = io.StringIO()
    call_command("ledger", *words, stdout=out)
    return out.getvalue()


def rows(*words):
    return [json.loads(line) for line in told("--jsonl", *words).splitlines()]


def test_a_line_has_exactly_the_promised_keys(peace):
    for row in rows():
        assert list(row) == KEYS
        assert list(row["times"]) == TIMES


def test_a_letter_is_told_as_it_stands(peace):
    letter = peace.letters.get()
    delivery = builders.sent(letter)
    Delivery.objects.filter(pk=delivery.pk).update(outcome=Outcome.BOUNCED_SOFT, attempts=2)
    [row] = [one for one in rows() if one["kind"] == "letter"]
    times = row.pop("times")
    assert row == {
        "letter": letter.reference,
        "kind": "letter",
        "recipient": delivery.recipient,
        "message_id": delivery.message_id,
        "state": "accepted",
        "outcome": "bounced_soft",
        "reply_to": writing.reply_address(letter),
        "bounce": writing.bounce_address(delivery.pk),
        "tries": 2,
    }
    assert times["first_tried"] is None
    assert datetime.fromisoformat(times["finished"]) == delivery.finished_at
    assert all(one is None or datetime.fromisoformat(one).tzinfo == UTC for one in times.values())


def test_mail_to_supporters_has_no_reply_address(peace):
    [row] = [one for one in rows() if one["kind"] == "confirmation"]
    assert row["reply_to"] is None
    assert row["letter"] == peace.letters.get().reference


def test_a_message_without_a_letter_has_neither_letter_nor_reply_address(db):
    Delivery.objects.create(kind="notice", recipient="a@people.example", message_id="<n@x.example>")
    [row] = rows()
    assert (row["letter"], row["reply_to"], row["outcome"]) == (None, None, "none")


@pytest.mark.parametrize("outcome", Outcome)
def test_outcomes_are_words(peace, outcome):
    Delivery.objects.update(outcome=outcome)
    assert {row["outcome"] for row in rows()} == {outcome.name.lower()}


def test_lines_come_by_number(peace):
    for _ in range(5):
        builders.confirmed(peace)
    ids = list(Delivery.objects.order_by("pk").values_list("message_id", flat=True))
    assert [row["message_id"] for row in rows()] == ids


@pytest.mark.parametrize("hostile", ["\u2028\u2029\x85", "\x0b\x0c\x1c", "\n\r", "名前 🕊", '"\\{}', "\u202e"])
def test_no_letter_of_any_script_breaks_a_line(peace, hostile):
    recipient = f"{hostile}@people.example"
    Delivery.objects.update(recipient=recipient)
    text = told("--jsonl")
    assert text.isascii()
    assert len(text.splitlines()) == Delivery.objects.count()
    assert {row["recipient"] for row in rows()} == {recipient}


def test_only_one_campaigns_deliveries_when_asked(peace):
    other = builders.open_campaign("other")
    letter = builders.unconfirmed(other)
    assert [row["letter"] for row in rows("--campaign", "other")] == [letter.reference]
    assert len(rows("--campaign", "peace")) == 2


def test_an_unknown_campaign_is_answered_with_those_that_are_known(peace):
    for words in (("--jsonl",), ()):
        with pytest.raises(CommandError, match=r"No campaign 'piece'\. Known: .*peace"):
            told("--campaign", "piece", *words)


def test_as_many_queries_for_many_as_for_few(peace):
    def asked():
        with CaptureQueriesContext(connection) as queries:
            told("--jsonl")
        return len(queries)

    few = asked()
    for _ in range(10):
        builders.confirmed(peace)
    assert asked() == few


def test_the_table_counts_by_campaign_kind_and_state(peace):
    builders.confirmed(peace)
    builders.sent(peace.letters.first())
    lines = [line.split() for line in told().splitlines()]
    assert lines == [
        ["campaign", "kind", "state", "deliveries"],
        ["peace", "confirmation", "waiting", "2"],
        ["peace", "letter", "waiting", "1"],
        ["peace", "letter", "accepted", "1"],
        ["total", "4"],
    ]


def test_an_empty_ledger_is_no_error(db):
    assert told("--jsonl") == ""
    assert told().splitlines()[-1].split() == ["total", "0"]


def test_help_says_that_the_lines_hold_personal_data(capsys):
    with pytest.raises(SystemExit):
        call_command("ledger", "--help")
    assert "PERSONAL DATA" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_has_enough_ends_it_quietly():
    Delivery.objects.bulk_create(
        Delivery(
            kind="notice", recipient="a@people.example", message_id=f"<{number}@x>", state=State.ACCEPTED
        )
        for number in range(5000)
    )
    environment = os.environ | {"DATABASE_URL": database_url(), "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "manage.py", "ledger", "--jsonl"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        first = json.loads(running.stdout.readline())
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(30) == 141
    assert first["message_id"] == "<0@x>"
    assert datetime.fromisoformat(first["times"]["created"]) <= timezone.now()
