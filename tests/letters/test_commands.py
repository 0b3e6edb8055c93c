"""The commands that switch a campaign's sending and load it, as an operator types them."""

import pytest
from django.core.management import CommandError, call_command

from letters.models import Campaign, Text
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
    assert run(capsys, "launch", "peace") == "peace: running; selected 1, open 1, ended 0"
    assert run(capsys, "pause", "peace") == "peace: paused; selected 1, open 1, ended 0"
    assert run(capsys, "resume", "peace") == "peace: running; selected 1, open 1, ended 0"
    assert run(capsys, "cancel", "peace") == "peace: cancelled; selected 1, open 0, ended 1"


def test_a_campaign_finishes_from_the_command_line_once_nothing_is_open(peace, capsys):
    call_command("launch", "peace")
    with pytest.raises(CommandError, match="1 letters are still open"):
        call_command("finish", "peace")
    builders.sent(peace.letters.get())
    assert run(capsys, "finish", "peace").endswith("peace: finished; selected 1, open 0, ended 1")


@pytest.mark.parametrize("name", ["pause", "resume", "finish"])
def test_what_cannot_be_done_now_is_said(peace, name):
    with pytest.raises(CommandError, match=f"peace is draft: it cannot {name}"):
        call_command(name, "peace")


@pytest.mark.parametrize("name", ["launch", "pause", "resume", "cancel", "finish"])
def test_an_unknown_campaign_is_answered_with_those_that_are_known(peace, name):
    with pytest.raises(CommandError, match=r"No campaign 'piece'\. Known: peace"):
        call_command(name, "piece")


def test_a_launch_without_approved_texts_names_them(peace):
    peace.texts.filter(kind="letter", language="es").update(state=Text.State.DRAFT)
    with pytest.raises(CommandError, match=r"letter \(es\)"):
        call_command("launch", "peace")
    peace.refresh_from_db()
    assert peace.sending == Campaign.Sending.DRAFT


def test_the_shipped_campaign_is_loaded_by_name_and_may_be_loaded_again(capsys):
    for _ in range(2):
        assert run(capsys, "load_campaign") == "un2020: 24 texts, 5 asks"
    assert Campaign.objects.get(slug="un2020").signup == Campaign.Signup.CLOSED


def test_a_folder_that_holds_no_campaign_is_said(tmp_path):
    with pytest.raises(CommandError, match=r"has no campaign\.toml"):
        call_command("load_campaign", str(tmp_path))
