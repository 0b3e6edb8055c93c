"""Answers find their letter; bounces find their delivery; strangers wait on the tray."""

import pytest
from django.contrib.auth.models import User

from letters import filing, inbound
from letters.models import Delivery, Filing, Incoming, Reading
from letters.rules.ledger import Outcome, State
from letters.sending import writing
from tests import builders
from tests.letters import mails

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(db) -> Delivery:
    """A letter that the ministry's relay accepted."""
    builders.office("FR")
    return sent_again(builders.campaign(sending="running"))


def sent_again(campaign) -> Delivery:
    delivery = builders.delivery_of(builders.confirmed(campaign))
    builders.force(Delivery.objects.filter(pk=delivery.pk), State.ACCEPTED)
    return Delivery.objects.select_related("letter", "campaign").get(pk=delivery.pk)


def arrives(raw: bytes, *to: str, sender: str | None = "cabinet@mfa.fr.example") -> Incoming:
    row, _ = inbound.take_in(raw, envelope_from=sender, envelope_to=list(to), door="lmtp")
    filing.file_new(5)
    row.refresh_from_db()
    return row


def outcome(delivery: Delivery) -> Outcome:
    delivery.refresh_from_db()
    return Outcome(delivery.outcome)


def test_an_answer_to_the_reply_address_is_filed_under_its_letter(sent):
    row = arrives(mails.answer(sent), writing.reply_address(sent.letter))
    filed = Filing.objects.get()
    assert (filed.letter, filed.method, filed.verified) == (sent.letter, "token", True)
    assert "reply address" in filed.why
    assert (row.state, row.kind, row.subject) == ("filed", "human_reply", "Réponse")
    assert outcome(sent) == Outcome.REPLIED


def test_a_shouted_reply_address_still_arrives(sent):
    arrives(mails.answer(sent, to="x@elsewhere.example"), writing.reply_address(sent.letter).upper())
    assert Filing.objects.get().letter == sent.letter


def test_an_answer_without_the_address_is_filed_by_its_thread(sent):
    raw = mails.answer(sent, to="peace@replies.demarche.example", In_Reply_To=sent.message_id)
    arrives(raw, "peace@replies.demarche.example")
    assert Filing.objects.get().method == "thread"


def test_an_answer_that_only_quotes_the_reference_is_unverified_by_confidence(sent):
    raw = mails.answer(
        sent, to="peace@replies.demarche.example", Subject=f"Votre lettre {sent.letter.reference}"
    )
    arrives(raw, "peace@replies.demarche.example")
    filed = Filing.objects.get()
    assert (filed.method, filed.confidence) == ("reference", 60)

    assert outcome(sent) == Outcome.NONE  # references are public: quoting one proves nothing


def test_a_list_of_references_is_no_answer_to_anybody(sent):
    others = [sent_again(sent.campaign) for _ in range(3)]
    listed = " ".join(one.letter.reference for one in (sent, *others))
    row = arrives(mails.answer(sent, to="peace@replies.demarche.example", Subject=listed))
    assert (row.state, Filing.objects.count()) == (Incoming.State.TRAY, 0)


@pytest.mark.parametrize("forged", ["token", "thread"])
def test_a_report_without_our_signed_address_bounces_nothing(sent, forged):
    raw = mails.bounce(sent).replace(b"mfa.fr.example>", b"evil.example>")
    to = writing.reply_address(sent.letter) if forged == "token" else "peace@replies.demarche.example"
    arrives(raw.replace(writing.bounce_address(sent.pk).encode(), to.encode()), to, sender="")
    assert Filing.objects.get().method == forged
    assert outcome(sent) == Outcome.NONE


def test_a_stranger_settles_no_doubt(sent):
    builders.force(Delivery.objects.filter(pk=sent.pk), State.UNCERTAIN)
    arrives(mails.answer(sent, sender="troll@evil.example"), writing.reply_address(sent.letter))
    assert outcome(sent) == Outcome.NONE
    assert sent.state == State.UNCERTAIN


def test_an_answer_to_a_letter_that_never_left_changes_nothing(sent):
    builders.force(Delivery.objects.filter(pk=sent.pk), State.WAITING)
    arrives(mails.answer(sent), writing.reply_address(sent.letter))
    assert outcome(sent) == Outcome.NONE


def test_a_mail_that_kills_its_worker_is_set_aside(sent, monkeypatch):
    row, _ = inbound.take_in(mails.answer(sent), envelope_from="", envelope_to=[], door="lmtp")
    Incoming.objects.filter(pk=row.pk).update(attempts=filing.TRIES)
    filing.file_new(5)
    row.refresh_from_db()
    assert row.state == Incoming.State.TRAY


def test_an_answer_from_another_address_is_filed_and_shown_as_unverified(sent):
    arrives(mails.answer(sent, sender="secretariat@gouv.example"), writing.reply_address(sent.letter))
    assert Filing.objects.get().verified is False


def test_a_stranger_waits_on_the_tray(sent):
    row = arrives(mails.answer(sent, to="peace@replies.demarche.example"), "peace@replies.demarche.example")
    assert row.state == Incoming.State.TRAY
    assert not Filing.objects.exists()
    assert outcome(sent) == Outcome.NONE


def test_an_automatic_answer_acknowledges_and_never_replies(sent):
    arrives(mails.answer(sent, Auto_Submitted="auto-replied"), writing.reply_address(sent.letter))
    assert outcome(sent) == Outcome.ACKNOWLEDGED
    assert Reading.objects.get().kind == "auto_reply"


@pytest.mark.parametrize(
    ("status", "action", "expected"),
    [
        ("5.1.1", "failed", Outcome.BOUNCED_HARD),
        ("4.2.2", "failed", Outcome.BOUNCED_SOFT),
        ("5.2.2", "failed", Outcome.BOUNCED_SOFT),
        ("4.4.1", "delayed", Outcome.BOUNCED_SOFT),
        ("2.0.0", "delivered", Outcome.NONE),
    ],
)
def test_a_delivery_report_finds_its_delivery(sent, status, action, expected):
    arrives(mails.bounce(sent, status=status, action=action), writing.bounce_address(sent.pk), sender="")
    assert outcome(sent) == expected


def test_a_forged_bounce_address_changes_nothing(sent):
    genuine = writing.bounce_address(sent.pk)
    forged = genuine.replace(genuine.split("-")[2][:6], "000000")
    raw = (
        mails.bounce(sent)
        .replace(genuine.encode(), forged.encode())
        .replace(sent.message_id.encode(), b"<x@y.example>")
    )
    row = arrives(raw, forged, sender="")
    assert row.state == Incoming.State.TRAY
    assert outcome(sent) == Outcome.NONE


def test_a_bounce_after_an_answer_wins_and_a_late_answer_does_not_clear_it(sent):
    arrives(mails.bounce(sent), writing.bounce_address(sent.pk), sender="")
    arrives(mails.answer(sent), writing.reply_address(sent.letter))
    assert outcome(sent) == Outcome.BOUNCED_HARD


def test_any_answer_settles_a_doubt(sent):
    builders.force(Delivery.objects.filter(pk=sent.pk), State.UNCERTAIN)
    arrives(mails.answer(sent), writing.reply_address(sent.letter))
    sent.refresh_from_db()
    assert sent.state == State.ACCEPTED


def test_everything_twice_changes_nothing(sent):
    for _ in range(2):
        arrives(mails.answer(sent), writing.reply_address(sent.letter))
        Incoming.objects.update(state=Incoming.State.NEW)
    filing.file_new(5)
    assert (Filing.objects.count(), Reading.objects.count(), sent.events.count()) == (1, 1, 1)


def test_one_answer_to_two_letters_is_filed_under_both(sent):
    second = sent_again(sent.campaign)
    addresses = [writing.reply_address(one.letter) for one in (sent, second)]
    arrives(mails.answer(sent, to=", ".join(addresses)), *addresses)
    assert {one.letter for one in Filing.objects.all()} == {sent.letter, second.letter}


@pytest.mark.parametrize(
    "raw", [bytes(range(256)) * 10, b"\n\n\n.", b"Content-Type: multipart/mixed\n\nx", b"x" * 5_000_000]
)
def test_unreadable_mail_waits_on_the_tray_and_no_worker_dies(sent, raw):
    assert arrives(raw, "peace@replies.demarche.example").state == Incoming.State.TRAY


def test_a_coordinator_files_by_hand_and_takes_it_back(sent):
    row = arrives(mails.answer(sent, to="peace@replies.demarche.example"), "peace@replies.demarche.example")
    ines = User.objects.create_user("ines")
    filed = filing.file_by_hand(row, sent.letter, user=ines)
    row.refresh_from_db()
    assert (row.state, filed.method, filed.by) == ("filed", "hand", ines)
    assert outcome(sent) == Outcome.REPLIED
    filing.undo(filed, user=ines)
    row.refresh_from_db()
    filed.refresh_from_db()
    assert row.state == Incoming.State.TRAY
    assert filed.undone_by == ines
    filing.file_by_hand(row, sent.letter, user=ines)
    assert Filing.objects.get().undone_at is None
