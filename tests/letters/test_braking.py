"""The automatic brake: too many letters that go wrong pause a campaign; the evidence is kept and told."""

import logging
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from letters import braking, lifecycle, outbox
from letters.models import Brake, Campaign, Delivery
from letters.rules.ledger import Outcome, State
from tests import builders

pytestmark = pytest.mark.django_db
Cause = Brake.Cause
GOOD, SOFT, HARD, COMPLAINED = Outcome.NONE, Outcome.BOUNCED_SOFT, Outcome.BOUNCED_HARD, Outcome.COMPLAINED


@pytest.fixture
def peace():
    row = builders.open_campaign()
    lifecycle.launch(row, by="ana")
    row.refresh_from_db()
    return row


def tried(campaign, *kinds, ago=60.0, **changes):
    """Letters that left, the first longest ago; each kind is (how many, an outcome or "refused")."""
    start = timezone.now() - timedelta(seconds=ago)
    rows = []
    for what in (what for count, what in kinds for _ in range(count)):
        values = {"kind": "letter", "state": State.ACCEPTED, "outcome": what}
        if what == "refused":
            values |= {"state": State.FAILED, "outcome": GOOD, "reason": "rcpt: 550 5.1.1 no such user"}
        at = start + timedelta(milliseconds=len(rows))
        values |= {"campaign": campaign, "message_id": outbox.new_message_id(), "finished_at": at}
        rows.append(Delivery(**values | changes))
    return Delivery.objects.bulk_create(rows)


def sending(campaign):
    campaign.refresh_from_db()
    return campaign.sending


@pytest.mark.parametrize(
    ("bad", "of", "cause"),
    [
        (99, 1000, None),
        (100, 1000, Cause.BOUNCES),
        (2, 29, None),
        (29, 29, None),  # too few to judge by
        (2, 30, None),
        (3, 30, Cause.BOUNCES),
        (49, 500, None),
        (50, 500, Cause.BOUNCES),
    ],
)
@pytest.mark.parametrize("how", [SOFT, HARD, "refused"])
def test_a_tenth_of_bounces_pauses_the_campaign(peace, bad, of, cause, how):
    tried(peace, (of - bad, GOOD), (bad, how))
    assert [brake.cause for brake in braking.watch()] == ([cause] if cause else [])
    assert sending(peace) == ("paused" if cause else "running")


@pytest.mark.parametrize(
    ("bad", "of", "cause"),
    [
        (4, 1000, None),
        (5, 1000, Cause.COMPLAINTS),
        (2, 100, None),  # a coincidence
        (2, 2, None),
        (3, 600, Cause.COMPLAINTS),
        (3, 601, None),
        (3, 3, Cause.COMPLAINTS),
    ],
)
def test_one_complaint_in_two_hundred_pauses_the_campaign(peace, bad, of, cause):
    tried(peace, (of - bad, GOOD), (bad, COMPLAINED))
    assert [brake.cause for brake in braking.watch()] == ([cause] if cause else [])
    assert sending(peace) == ("paused" if cause else "running")


def unwritten(campaign, count, **changes):
    """Letters that could not be written."""
    return tried(campaign, (count, "refused"), reason="cannot be written: KeyError 'closing'", **changes)


@pytest.mark.parametrize(
    ("bad", "of", "cause"),
    [
        (29, 29, None),  # strange letters, not a broken text
        (30, 30, Cause.UNWRITTEN),
        (30, 300, Cause.UNWRITTEN),
        (30, 301, None),
        (99, 1000, None),
        (100, 1000, Cause.UNWRITTEN),
        (100, 1500, Cause.UNWRITTEN),  # of the last thousand
    ],
)
def test_a_tenth_that_cannot_be_written_pauses_the_campaign(peace, bad, of, cause):
    tried(peace, (of - bad, GOOD))
    rows = unwritten(peace, bad, ago=30)
    assert [brake.cause for brake in braking.watch()] == ([cause] if cause else [])
    assert sending(peace) == ("paused" if cause else "running")
    if cause:
        brake = Brake.objects.get()
        assert (brake.looked_at, brake.found) == (min(of, 1000), bad)
        assert brake.deliveries == [row.pk for row in reversed(rows)][:50]


def test_a_text_that_was_mended_long_ago_does_not_brake(peace):
    unwritten(peace, 500, ago=3600)
    tried(peace, (1000, GOOD))
    assert braking.watch() == []


def test_what_could_not_be_written_does_not_hide_bounces(peace):
    tried(peace, (27, GOOD), (3, HARD))
    unwritten(peace, 2, ago=30)
    [brake] = braking.watch()
    assert (brake.cause, brake.looked_at, brake.found) == (Cause.BOUNCES, 30, 3)


def test_the_evidence_is_kept(peace):
    rows = tried(peace, (900, GOOD), (60, HARD), (40, "refused"))
    [brake] = braking.watch()
    brake.refresh_from_db()
    assert (brake.campaign, brake.cause, brake.looked_at, brake.found) == (peace, "bounces", 1000, 100)
    assert brake.deliveries == [row.pk for row in reversed(rows)][:50]
    assert str(brake) == "peace: 100/1000 bounces"


def test_letters_that_wait_and_other_mail_and_other_campaigns_do_not_count(peace):
    water = builders.open_campaign("water")
    lifecycle.launch(water, by="ana")
    tried(water, (40, GOOD))
    tried(peace, (27, GOOD))
    tried(peace, (30, HARD), kind="confirmation")
    for state in (State.WAITING, State.UNCERTAIN, State.WITHDRAWN, State.EXPIRED):
        tried(peace, (10, HARD), state=state, ago=30)
    assert braking.watch() == []


@pytest.mark.parametrize("reason", ["cannot be written: no text", "settled by ana"])
def test_a_few_failures_of_which_no_relay_said_a_word_do_not_count(peace, reason):
    tried(peace, (40, GOOD))
    tried(peace, (20, "refused"), reason=reason, ago=30)
    assert braking.watch() == []
    assert braking.look(peace) is None


def test_a_letter_that_was_given_up_counts(peace):
    tried(peace, (27, GOOD))
    tried(peace, (3, "refused"), reason="given up after 12 tries: rcpt: 450 4.2.2 full", ago=30)
    assert [brake.looked_at for brake in braking.watch()] == [30]


def test_the_last_thousand_count_and_not_what_was_long_ago(peace):
    tried(peace, (500, HARD), ago=3600)
    tried(peace, (1000, GOOD))
    assert braking.watch() == []


def test_bounces_that_come_long_after_acceptance_count(peace):
    rows = tried(peace, (4000, GOOD))
    assert braking.watch() == []
    late = [row.pk for row in rows[1000:1100]]
    Delivery.objects.filter(pk__in=late[:99]).update(outcome=HARD)
    assert braking.watch() == []
    Delivery.objects.filter(pk__in=late).update(outcome=HARD)
    [brake] = braking.watch()
    assert (brake.looked_at, brake.found) == (1000, 100)


@pytest.mark.parametrize("state", ["draft", "ready", "paused", "finished", "cancelled"])
def test_only_a_running_campaign_brakes(peace, state):
    tried(peace, (30, HARD))
    Campaign.objects.filter(pk=peace.pk).update(sending=state)
    assert braking.watch() == []
    assert sending(peace) == state


def test_the_same_evidence_does_not_brake_again(peace):
    tried(peace, (20, GOOD), (10, HARD), (5, COMPLAINED))
    assert len(braking.watch()) == 1
    assert braking.watch() == []
    lifecycle.resume(peace, by="ana")
    assert braking.watch() == []
    assert sending(peace) == "running"
    tried(peace, (27, GOOD), (3, HARD), ago=-60)
    assert [brake.looked_at for brake in braking.watch()] == [30]
    assert Brake.objects.count() == 2


def test_a_campaign_that_was_resumed_while_it_was_looked_at_goes_on(peace, monkeypatch):
    tried(peace, (30, HARD))
    once = braking.look

    def look_and_be_overtaken(row):
        monkeypatch.setattr(braking, "look", once)
        found = once(row)
        lifecycle.pause(peace, by="ana")
        lifecycle.resume(peace, by="ana")
        return found

    monkeypatch.setattr(braking, "look", look_and_be_overtaken)
    assert braking.watch() == []
    assert sending(peace) == "running"
    assert not Brake.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_several_workers_brake_once(peace):
    User.objects.create_superuser("root", "root@staff.example")
    tried(peace, (30, HARD))
    answers = builders.at_once(*[partial(braking.watch)] * 6)
    assert sum(len(answer) for answer in answers) == Brake.objects.count() == 1
    assert len(mail.outbox) == 1


def test_looking_asks_as_much_for_many_letters_as_for_few(peace, django_assert_num_queries):
    tried(peace, (50, GOOD))
    with django_assert_num_queries(3):
        braking.watch()
    tried(peace, (2000, GOOD), ago=30)
    with django_assert_num_queries(3):
        braking.watch()


# Who is told


@pytest.fixture
def people():
    """Those who may send, each in a way of their own, and those who may not."""
    right = Permission.objects.get(codename="send_campaign")
    group = Group.objects.create(name="coordinators")
    group.permissions.add(right)
    User.objects.create_user("directly", "directly@staff.example").user_permissions.add(right)
    User.objects.create_user("by-group", "by-group@staff.example").groups.add(group)
    User.objects.create_user("both", "both@staff.example").user_permissions.add(right)
    User.objects.get(username="both").groups.add(group)
    User.objects.create_superuser("root", "root@staff.example")
    User.objects.create_user("reader", "reader@staff.example")
    User.objects.create_user("left", "left@staff.example", is_active=False).user_permissions.add(right)
    User.objects.create_user("no-address").user_permissions.add(right)
    return ["directly@staff.example", "by-group@staff.example", "both@staff.example", "root@staff.example"]


def test_those_who_may_send_are_told_once(peace, people, django_capture_on_commit_callbacks):
    tried(peace, (900, GOOD), (100, HARD))
    with django_capture_on_commit_callbacks(execute=True):
        braking.watch()
    with django_capture_on_commit_callbacks(execute=True):
        braking.watch()
    assert [sent.to for sent in mail.outbox] == [[address] for address in people]
    sent = mail.outbox[0]
    assert sent.subject == "Sending paused: 100 of 1000 letters of “peace” bounced"
    assert f"http://127.0.0.1:8000/admin/letters/campaign/{peace.pk}/change/\n" in sent.body
    assert "Of the 1000 letters that were looked at together, 100 bounced or were refused." in sent.body
    assert "&" not in sent.body
    assert sent.message()["Auto-Submitted"] == "auto-generated"


def test_complaints_are_told_as_complaints(peace, people, django_capture_on_commit_callbacks):
    tried(peace, (97, GOOD), (3, COMPLAINED))
    with django_capture_on_commit_callbacks(execute=True):
        braking.watch()
    assert mail.outbox[0].subject == "Sending paused: 3 of 100 letters of “peace” were complained of"
    assert "3 were reported as unwanted" in mail.outbox[0].body


def test_what_cannot_be_written_is_told_as_that(peace, people, django_capture_on_commit_callbacks):
    tried(peace, (70, GOOD))
    unwritten(peace, 30, ago=30)
    with django_capture_on_commit_callbacks(execute=True):
        braking.watch()
    assert mail.outbox[0].subject == "Sending paused: 30 of 100 letters of “peace” could not be written"
    assert "100 letters that were looked at together, 30 could not be written." in mail.outbox[0].body
    assert "Mend the text" in mail.outbox[0].body
    assert "addresses" not in mail.outbox[0].body


def test_nobody_is_told_before_the_pause_is_committed(peace, people, django_capture_on_commit_callbacks):
    tried(peace, (3, HARD), (27, GOOD))
    with django_capture_on_commit_callbacks() as calls:
        braking.watch()
        assert mail.outbox == []
    assert len(calls) == 1


@pytest.mark.parametrize("broken", ["open", "send_messages"])
def test_mail_that_fails_never_undoes_the_pause(
    peace, people, django_capture_on_commit_callbacks, monkeypatch, caplog, broken
):
    def fail(*args):
        raise OSError("root@staff.example: 550")

    monkeypatch.setattr(EmailBackend, broken, fail)
    tried(peace, (30, HARD))
    with django_capture_on_commit_callbacks(execute=True), caplog.at_level(logging.ERROR):
        braking.watch()
    assert sending(peace) == "paused"
    assert Brake.objects.count() == 1
    assert len(caplog.records) == (1 if broken == "open" else 4)
    assert "staff.example" not in caplog.text


def test_a_mail_that_fails_keeps_no_other_from_going(
    peace, people, django_capture_on_commit_callbacks, monkeypatch
):
    send = EmailBackend.send_messages

    def fail_for_root(self, messages):
        if messages[0].to == ["directly@staff.example"]:
            raise OSError
        return send(self, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", fail_for_root)
    tried(peace, (30, HARD))
    with django_capture_on_commit_callbacks(execute=True):
        braking.watch()
    assert [sent.to for sent in mail.outbox] == [[address] for address in people[1:]]
