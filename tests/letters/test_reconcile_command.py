"""`manage.py reconcile`: after a backup was restored, what the relay's log names is not sent again."""

import io
from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from letters import lifecycle, outbox
from letters.models import Campaign, Delivery, DeliveryEvent, Odometer, OfficePace, RelayPace
from letters.rules.ledger import State
from letters.sending import reconciling, rewind, rounds
from tests import builders

pytestmark = pytest.mark.django_db
POSTFIX = (
    "Nov 25 07:14:03 mx1 postfix/cleanup[4711]: 4XyZ1a2b3c: message-id={id}\n"
    "Nov 25 07:14:03 mx1 postfix/qmgr[811]: 4XyZ1a2b3c: from=<b-1-abc@replies.demarche.example>, size=4211\n"
    "Nov 25 07:14:04 mx1 postfix/smtp[4713]: 4XyZ1a2b3c: to=<cabinet@mfa.example>, dsn=2.0.0, status=sent\n"
)


def delivery(state: State = State.WAITING, **values: object) -> Delivery:
    row = Delivery.objects.create(
        kind="notice", recipient="a@people.example", message_id=outbox.new_message_id(), **values
    )
    builders.force(Delivery.objects.filter(pk=row.pk), state)
    row.refresh_from_db()
    return row


@pytest.fixture
def logged(tmp_path):
    """Writes a log that names some deliveries; its path."""

    def written(*rows: Delivery, form: str = POSTFIX) -> str:
        path = tmp_path / "mail.log"
        path.write_text("".join(form.format(id=row.message_id) for row in rows))
        return str(path)

    return written


def told(*words: str) -> dict[str, int]:
    """What the command prints: {first words: count}."""
    out = io.StringIO()
    call_command("reconcile", *words, stdout=out)
    lines = [line.split(maxsplit=1) for line in out.getvalue().splitlines()]
    return {what: int(count.replace(",", "")) for count, what in lines if count[0].isdecimal()}


def counts(*words: str) -> list[int]:
    """found, moved, accepted before, with a worker, ended otherwise, unknown."""
    return list(told(*words).values())


def state_of(row: Delivery) -> str:
    row.refresh_from_db()
    return row.state


@pytest.mark.parametrize("state", [State.HELD, State.WAITING, State.DEFERRED, State.UNCERTAIN])
def test_what_the_log_names_is_accepted_and_says_why(logged, state):
    row, other = delivery(state), delivery(state)
    assert counts(logged(row)) == [1, 1, 0, 0, 0, 0]
    assert state_of(row) == State.ACCEPTED
    assert row.reason == "found in the relay's log"
    assert row.finished_at is not None
    event = DeliveryEvent.objects.get()
    assert (event.delivery, event.what, event.source) == (row, "settled", "person")
    assert state_of(other) == state


@pytest.mark.parametrize("state", [State.FAILED, State.WITHDRAWN, State.CANCELLED, State.SUPPRESSED])
def test_what_has_ended_stays_as_it_is(logged, state):
    row = delivery(state)
    assert counts(logged(row)) == [1, 0, 0, 0, 1, 0]
    assert state_of(row) == state


def test_what_a_worker_has_is_left_to_it(logged):
    row = delivery(lease_until=timezone.now() + timedelta(minutes=1), claimed_by="worker")
    builders.force(Delivery.objects.all(), State.SUBMITTING)
    assert counts(logged(row)) == [1, 0, 0, 1, 0, 0]
    assert state_of(row) == State.SUBMITTING


def test_what_was_with_a_worker_when_the_backup_was_made_is_settled_too(logged):
    row = delivery(lease_until=timezone.now() - timedelta(hours=9), claimed_by="worker")
    builders.force(Delivery.objects.all(), State.SUBMITTING)
    assert counts("--dry-run", logged(row)) == [1, 0, 0, 1, 0, 0]
    assert state_of(row) == State.SUBMITTING
    assert counts(logged(row)) == [1, 1, 0, 0, 0, 0]
    assert state_of(row) == State.ACCEPTED


def test_it_may_run_again(logged):
    rows = [delivery() for _ in range(3)]
    assert counts(logged(*rows)) == [3, 3, 0, 0, 0, 0]
    assert counts(logged(*rows)) == [3, 0, 3, 0, 0, 0]
    assert DeliveryEvent.objects.count() == 3


def test_a_dry_run_counts_and_changes_nothing(logged):
    row = delivery()
    assert told("--dry-run", logged(row))["would become accepted"] == 1
    assert state_of(row) == State.WAITING
    assert not DeliveryEvent.objects.exists()


def test_what_was_written_after_the_backup_is_counted_as_unknown(logged):
    row = delivery()
    log = logged(row)
    row.delete()
    assert counts(log) == [1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "form",
    ["{id}\n", "{bare}\n", '{{"x": "{id}", "y": 1}}\n', "a;{bare};b", "Message-Id: {upper}\r\n", "\xff{id}"],
)
def test_any_text_will_do(tmp_path, form):
    row = delivery()
    bare = row.message_id.strip("<>")
    text = form.format(id=row.message_id, bare=bare, upper=row.message_id.upper())
    (tmp_path / "list").write_bytes(text.encode("latin-1"))
    assert counts(str(tmp_path / "list"))[:2] == [1, 1]


@pytest.mark.parametrize("form", ["x{bare}", "a.{bare}", "{bare}.org", "{bare}-x", "{cut}", "{bare}s"])
def test_what_only_looks_like_ours_is_not(tmp_path, form):
    row = delivery()
    bare = row.message_id.strip("<>")
    (tmp_path / "list").write_text(form.format(bare=bare, cut=bare[1:]))
    assert counts(str(tmp_path / "list"))[0] == 0


def test_the_message_ids_of_a_frozen_wave_are_known_as_ours(logged):
    builders.office("FR")
    row = builders.campaign()
    builders.confirmed(row)
    lifecycle.launch(row, by="test")
    assert counts(logged(*Delivery.objects.all()))[:2] == [2, 2]


def test_one_that_is_named_often_is_counted_once(logged, monkeypatch):
    monkeypatch.setattr(reconciling, "AT_ONCE", 2)
    rows = [delivery() for _ in range(5)]
    assert counts(logged(*rows, *rows, *rows)) == [5, 5, 0, 0, 0, 0]


def test_several_files_and_standard_input(logged, monkeypatch):
    first, second = delivery(), delivery()
    stdin = io.TextIOWrapper(io.BytesIO(second.message_id.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert counts(logged(first), "-")[:2] == [2, 2]


# Release


@pytest.fixture
def held():
    """Both relays, held because of a backup."""
    for alias in ("letters", "supporters"):
        RelayPace.objects.create(name=alias, rest_until=rewind.UNTIL_RELEASED, trouble=rewind.TROUBLE)
    return RelayPace.objects.filter(rest_until=rewind.UNTIL_RELEASED)


def test_a_release_comes_after_what_was_found(logged, held):
    told("--release", logged(delivery()))
    assert not held.exists()
    assert not RelayPace.objects.exclude(trouble="").exists()


def test_without_a_file_it_only_releases(held):
    assert told("--release") == {}
    assert not held.exists()


def test_comparing_alone_releases_nothing(logged, held):
    told(logged(delivery()))
    assert held.count() == 2


def test_a_file_that_names_nothing_of_ours_releases_nothing(logged, held):
    with pytest.raises(CommandError, match="no file names a message of ours"):
        told("--release", logged(form="an empty log"))
    assert held.count() == 2


def test_what_is_with_a_worker_forbids_a_release(logged, held):
    row = delivery(lease_until=timezone.now() + timedelta(minutes=1))
    builders.force(Delivery.objects.all(), State.SUBMITTING)
    with pytest.raises(CommandError, match="1 are with a worker"):
        told("--release", logged(row))
    assert held.count() == 2


def test_a_file_that_is_not_there_releases_nothing(logged, held):
    with pytest.raises(CommandError, match=r"nowhere\.log: No such file.*Nothing was released"):
        told("--release", logged(delivery()), "nowhere.log")
    assert held.count() == 2


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--dry-run", "--release", "mail.log"]])
def test_what_makes_no_sense_is_refused(words, held):
    with pytest.raises(CommandError):
        told(*words)
    assert held.count() == 2


# The whole story


def send(*, but: list[int] | None = None) -> int:
    """Sends what the pace would let go by and by; all but some deliveries."""
    OfficePace.objects.update(next_at=timezone.now() - timedelta(hours=1))
    Delivery.objects.update(due_at=timezone.now() - timedelta(hours=1))
    Delivery.objects.filter(pk__in=but or []).update(due_at=timezone.now() + timedelta(hours=1))
    return rounds.send_due(5)


def backup() -> dict[type, list]:
    """All rows that sending changes."""
    return {model: list(model.objects.all()) for model in (Delivery, Odometer, OfficePace)}


def restore(rows: dict[type, list]) -> None:
    for model, old in rows.items():
        model.objects.exclude(pk__in=[row.pk for row in old]).delete()
        for row in old:
            row.save()
    DeliveryEvent.objects.all().delete()


@pytest.fixture
def campaign(transactional_db) -> Campaign:
    countries = ("FR", "BE", "ES", "KE", "CA", "IE")
    for country in countries:
        builders.office(country)
    row = builders.campaign()
    for country in countries:
        builders.confirmed(row, country=country)
    Delivery.objects.all().delete()
    lifecycle.launch(row, by="test")
    return row


def test_after_a_backup_was_restored_nobody_gets_a_letter_twice(campaign, relay, tmp_path):
    everything = list(Delivery.objects.values_list("pk", flat=True))
    assert send(but=everything) == 0
    old = backup()
    assert send(but=everything[:2]) == 4

    restore(old)
    assert Delivery.objects.filter(state=State.WAITING).count() == 6
    assert send() == 0
    assert send() == 0
    assert len(relay.accepted) == 4
    assert "was a backup restored? Nothing is sent" in RelayPace.objects.get(pk="letters").trouble

    log = tmp_path / "mail.log"
    log.write_text("".join(POSTFIX.format(id=one) for one in relay.message_ids()))
    assert counts(str(log)) == [4, 4, 0, 0, 0, 0]
    assert send() == 0
    told("--release")
    assert send() == 2
    assert set(Counter(recipient for recipient, _ in relay.accepted).values()) == {1}
    assert len(set(relay.message_ids())) == 6
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED}
