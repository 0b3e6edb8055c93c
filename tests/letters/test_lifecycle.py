"""The switch of a campaign's sending, from draft to finished or cancelled; and the closing equation."""

from functools import partial

import pytest

from letters import lifecycle, outbox
from letters.lifecycle import Refused
from letters.models import Campaign, Delivery, Letter, Text, Wave
from letters.rules.ledger import FINAL, STOPPABLE, State
from tests import builders

pytestmark = pytest.mark.django_db
Sending = Campaign.Sending


@pytest.fixture
def peace():
    """A campaign with three confirmed letters to France and one that nobody confirmed."""
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    for _ in range(3):
        builders.confirmed(row)
    builders.unconfirmed(row)
    return row


def act(campaign, *names):
    for name in names:
        lifecycle.act(campaign, name, by="ana")
    campaign.refresh_from_db()
    return campaign


def rows(**which):
    return Delivery.objects.filter(kind=Delivery.Kind.LETTER, **which)


def test_launch_freezes_the_confirmed_letters_as_one_wave(peace):
    wave = lifecycle.launch(peace, by="ana")
    assert (wave.number, wave.selected, wave.day, wave.launched_by) == (1, 3, None, "ana")
    assert {row.letter.state for row in rows(wave=wave)} == {Letter.State.CONFIRMED}
    assert rows().count() == 3
    assert len(set(rows().values_list("message_id", flat=True))) == 3
    peace.refresh_from_db()
    assert peace.sending == Sending.RUNNING


@pytest.mark.django_db(transaction=True)
def test_launch_pressed_twenty_times_at_once_launches_once(peace):
    answers = builders.at_once(*[partial(lifecycle.launch, peace, by="ana")] * 20)
    assert sum(isinstance(answer, Wave) for answer in answers) == 1
    assert sum(isinstance(answer, Refused) for answer in answers) == 19
    assert Wave.objects.get().selected == rows().count() == 3


def test_a_launch_without_letters_runs_all_the_same():
    quiet = builders.open_campaign("quiet")
    assert lifecycle.launch(quiet, by="ana") is None
    builders.confirmed(quiet)
    assert rows(campaign=quiet).count() == 1


@pytest.mark.parametrize(
    ("which", "named"),
    [
        ({"kind": "letter", "language": "fr"}, "letter (fr)"),
        ({"kind": "ask", "key": "fund", "language": "es"}, "ask fund (es)"),
    ],
)
def test_launch_is_refused_while_a_text_is_not_approved(peace, which, named):
    peace.texts.filter(**which).update(state=Text.State.DRAFT)
    with pytest.raises(Refused) as refused:
        lifecycle.launch(peace, by="ana")
    assert str(refused.value) == f"Not approved yet: {named}"
    peace.refresh_from_db()
    assert peace.sending == Sending.DRAFT
    assert not rows().exists()


def test_a_campaign_without_any_letter_text_is_not_launched(peace):
    bare = Campaign.objects.create(
        slug="bare", reference_prefix="BARE", opens_on="2026-01-01", closes_on="2026-02-01"
    )
    assert lifecycle.missing_texts(bare) == ["a letter, in any language"]


def test_a_campaign_whose_texts_are_approved_is_ready_and_then_launched(peace):
    assert act(peace, "ready").sending == Sending.READY
    assert not rows().exists()
    assert act(peace, "launch").sending == Sending.RUNNING
    assert rows().count() == 3


def test_a_campaign_is_not_ready_while_a_text_is_missing(peace):
    peace.texts.filter(kind="letter").update(state=Text.State.DRAFT)
    with pytest.raises(Refused) as refused:
        act(peace, "ready")
    assert str(refused.value) == "Not approved yet: letter (en); letter (es); letter (fr)"
    peace.refresh_from_db()
    assert peace.sending == Sending.DRAFT


ALLOWED = {
    "ready": {"draft"},
    "launch": {"draft", "ready"},
    "go_on": {"running"},
    "pause": {"running"},
    "resume": {"paused"},
    "cancel": {"draft", "ready", "running", "paused"},
    "finish": {"running", "paused"},
}  # fmt: skip


@pytest.mark.parametrize("sending", Sending.values)
@pytest.mark.parametrize("name", ALLOWED)
def test_each_act_is_possible_only_from_its_states(peace, name, sending):
    Campaign.objects.filter(pk=peace.pk).update(sending=sending)
    Wave.objects.create(campaign=peace, number=1, canary=10)
    if name == "finish":  # nothing may be left to send
        Delivery.objects.all().delete()
        Letter.objects.all().delete()
    if sending in ALLOWED[name]:
        assert act(peace, name).sending != sending or name == "go_on"
    else:
        with pytest.raises(Refused, match=rf"peace is {sending}: “.+” is not possible now\."):
            act(peace, name)
        peace.refresh_from_db()
        assert peace.sending == sending


def test_a_person_who_resumes_trusts_what_happened_before(peace):
    assert act(peace, "launch", "pause").trusted_since is None
    assert act(peace, "resume").trusted_since is not None


def test_pausing_and_resuming_touch_no_letter(peace):
    act(peace, "launch")
    before = list(rows().values())
    assert act(peace, "pause").sending == Sending.PAUSED
    assert act(peace, "resume").sending == Sending.RUNNING
    assert list(rows().values()) == before


def test_letters_confirmed_during_a_pause_leave_with_the_resumption(peace):
    act(peace, "launch", "pause")
    late = builders.confirmed(peace)
    assert not rows(letter=late).exists()
    wave = lifecycle.resume(peace, by="bo")
    assert (wave.number, wave.selected, wave.launched_by) == (2, 1, "bo")
    assert lifecycle.equation(peace).selected == rows().count() == 4


def test_rolling_waves_are_one_a_day_and_add_up(peace):
    act(peace, "launch")
    for _ in range(2):
        builders.confirmed(peace)
    assert list(Wave.objects.order_by("number").values_list("number", "selected")) == [(1, 3), (2, 2)]
    assert lifecycle.equation(peace).selected == 5


@pytest.mark.parametrize("state", list(State))
def test_cancelling_ends_what_has_not_left_and_nothing_else(peace, state):
    act(peace, "launch")
    one = rows().first()
    builders.force(rows(pk=one.pk), state)
    act(peace, "cancel")
    one.refresh_from_db()
    assert one.state == (State.CANCELLED if state in STOPPABLE else state)
    assert rows(state=State.CANCELLED, reason="cancelled by ana").exclude(pk=one.pk).count() == 2
    assert not rows(state=State.CANCELLED, finished_at=None).exclude(pk=one.pk).exists()
    assert lifecycle.equation(peace).balanced


def test_a_cancellation_that_was_cut_off_is_completed(peace, monkeypatch):
    act(peace, "launch")
    with monkeypatch.context() as cut:
        cut.setattr(outbox, "call_off", lambda *args, **kwargs: 0)
        assert act(peace, "cancel").sending == Sending.CANCELLED
    assert rows(state=State.WAITING).count() == 3
    assert outbox.close_overdue() == 3
    assert rows(state=State.CANCELLED, reason="the campaign was cancelled").count() == 3


def test_cancelling_leaves_confirmations_alone(peace):
    act(peace, "cancel")
    waiting = Delivery.objects.filter(kind=Delivery.Kind.CONFIRMATION, state=State.WAITING)
    assert waiting.count() == 4


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_a_campaign_is_not_finished_while_one_letter_is_open(peace, state):
    act(peace, "launch")
    builders.force(rows(), State.ACCEPTED)
    builders.force(rows(pk=rows().first().pk), state)
    with pytest.raises(Refused) as refused:
        act(peace, "finish")
    assert str(refused.value) == f"Still open: 1 {state}. 2 of 3 letters have ended."


def test_every_open_state_is_named_with_its_count(peace):
    act(peace, "launch")
    builders.force(rows(pk=rows().first().pk), State.UNCERTAIN)
    with pytest.raises(Refused, match=r"Still open: 2 waiting, 1 uncertain\. 0 of 3 letters have ended\."):
        act(peace, "finish")


def test_a_campaign_finishes_when_selected_equals_the_sum_of_ends(peace):
    act(peace, "launch")
    for row, state in zip(rows(), (State.ACCEPTED, State.FAILED, State.EXPIRED), strict=True):
        builders.force(rows(pk=row.pk), state)
    sums = lifecycle.equation(peace)
    assert (sums.selected, sums.final, sums.open, sums.closed) == (3, 3, 0, True)
    assert act(peace, "finish").sending == Sending.FINISHED


def test_a_letter_that_vanished_unbalances_the_equation(peace):
    act(peace, "launch")
    builders.force(rows(), State.ACCEPTED)
    rows().first().delete()
    assert not lifecycle.equation(peace).balanced
    with pytest.raises(Refused):
        act(peace, "finish")


def test_a_campaign_whose_equation_does_not_balance_is_not_finished(peace):
    act(peace, "launch")
    builders.force(rows(), State.ACCEPTED)
    Wave.objects.update(selected=4)
    with pytest.raises(Refused, match="does not balance: 4 letters were selected, 3 are found"):
        act(peace, "finish")


def test_posting_everything_again_posts_nothing(peace):
    act(peace, "launch")
    assert outbox.post_all(peace, launched_by="ana") is None
    assert not outbox.post(Letter.objects.confirmed().first())
    assert rows().count() == 3
    assert lifecycle.equation(peace).selected == 3


def test_another_campaigns_letters_are_left_alone(peace):
    water = builders.open_campaign("water")
    builders.confirmed(water)
    act(peace, "launch", "cancel")
    assert not rows(campaign=water).exists()
    assert lifecycle.equation(water).selected == 0
    assert water.sending == Sending.DRAFT


def test_a_campaign_with_letters_that_were_never_selected_does_not_finish(peace):
    Campaign.objects.filter(pk=peace.pk).update(sending=Sending.PAUSED)
    with pytest.raises(Refused, match="3 confirmed letters were never selected"):
        act(peace, "finish")
