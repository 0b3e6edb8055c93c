"""The commands that switch a campaign's sending and load it, as an operator types them."""

import pytest
from django.core.management import CommandError, call_command

from letters import outbox
from letters.models import Campaign, Delivery, Text
from letters.rules.ledger import State
from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def peace():
    builders.known_world()
    builders.office("FR")
    row = builders.open_campaign()
    builders.confirmed(row)
    return row


def run(capsys, *words):
    call_command(*words)
    return capsys.readouterr().out.strip()


def test_a_campaigns_sending_is_switched_from_the_command_line(peace, capsys):
    assert run(capsys, "ready", "peace") == "peace: ready; selected 0, open 0, ended 0"
    assert run(capsys, "launch", "peace") == "peace: running; selected 1, open 1, ended 0"
    assert run(capsys, "pause", "peace") == "peace: paused; selected 1, open 1, ended 0"
    assert run(capsys, "resume", "peace") == "peace: running; selected 1, open 1, ended 0"
    assert run(capsys, "cancel", "peace") == "peace: cancelled; selected 1, open 0, ended 1"


def test_a_campaign_finishes_from_the_command_line_once_nothing_is_open(peace, capsys):
    call_command("launch", "peace")
    with pytest.raises(CommandError, match=r"Still open: 1 waiting\. 0 of 1 letters have ended\."):
        call_command("finish", "peace")
    builders.sent(peace.letters.get())
    assert run(capsys, "finish", "peace").endswith("peace: finished; selected 1, open 0, ended 1")


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("go_on", "Go on after the canary"),
        ("pause", "Pause"),
        ("resume", "Resume"),
        ("finish", "Finish"),
    ],
)
def test_what_cannot_be_done_now_is_said(peace, name, act):
    with pytest.raises(CommandError, match=f"peace is draft: “{act}” is not possible now"):
        call_command(name, "peace")


def test_a_large_wave_goes_on_from_the_command_line(peace, capsys, monkeypatch):
    monkeypatch.setattr(outbox, "CANARY_OVER", 2)
    monkeypatch.setattr(outbox, "CANARY_AT_LEAST", 1)
    for _ in range(2):
        builders.confirmed(peace)
    call_command("launch", "peace")
    waiting = Delivery.objects.letters().filter(state=State.WAITING)
    assert waiting.count() == 1
    assert run(capsys, "go_on", "peace").endswith("peace: running; selected 3, open 3, ended 0")
    assert waiting.count() == 3
    with pytest.raises(CommandError, match="No letters wait for a canary"):
        call_command("go_on", "peace")


@pytest.mark.parametrize("name", ["ready", "launch", "go_on", "pause", "resume", "cancel", "finish"])
def test_an_unknown_campaign_is_answered_with_those_that_are_known(peace, name):
    with pytest.raises(CommandError, match=r"No campaign 'piece'\. Known: peace"):
        call_command(name, "piece")


@pytest.mark.parametrize("name", ["ready", "launch"])
def test_texts_that_are_not_approved_are_named(peace, name):
    peace.texts.filter(kind="letter", language="es").update(state=Text.State.DRAFT)
    with pytest.raises(CommandError, match=r"letter \(es\)"):
        call_command(name, "peace")
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.DRAFT


def test_the_shipped_campaign_is_loaded_by_name_and_may_be_loaded_again(capsys):
    for _ in range(2):
        assert run(capsys, "load_campaign") == "un2020: 24 texts, 5 asks"
    assert Campaign.objects.get(slug="un2020").signup == Campaign.Signup.CLOSED


def test_a_folder_that_holds_no_campaign_is_said(tmp_path):
    with pytest.raises(CommandError, match=r"has no campaign\.toml"):
        call_command("load_campaign", str(tmp_path))
