"""Tokens of personal links stay out of the logs."""

import logging

import pytest
from django.conf import settings as configured

from campaign.logs import HideTokens
from letters import links
from letters.links import Purpose

PATHS = {
    Purpose.CONFIRM: "confirm",
    Purpose.REFUSE: "refuse",
    Purpose.THANKS: "thanks",
    Purpose.MY_LETTERS: "my",
}


@pytest.fixture
def hidden(caplog):
    """What is logged, through the filter."""
    filter_ = HideTokens()
    caplog.handler.addFilter(filter_)
    caplog.set_level(logging.DEBUG)
    yield caplog
    caplog.handler.removeFilter(filter_)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_path_is_logged_without_its_token(hidden, purpose):
    token = links.make(purpose, 42)
    path = f"/fr/{PATHS[purpose]}/{token}/"
    log = logging.getLogger("some.module")
    log.warning("Not Found: %s", path)
    log.warning(f"GET {path} 404")
    log.warning("two: %s and %s, %d", path, f"{path}withdraw/7/", 3)
    log.warning("named: %(path)s", {"path": path})
    log.warning("object: %s", [path])
    try:
        raise RuntimeError(path)
    except RuntimeError:
        log.exception("trouble at %s", path)
    assert token.split(":")[-1] not in hidden.text
    assert hidden.text.count(f"/fr/{PATHS[purpose]}/…") == 8
    assert "withdraw/7/, 3" in hidden.text


@pytest.mark.django_db
def test_what_the_site_itself_logs_of_a_wrong_link_holds_no_token(hidden, client):
    token = links.make(Purpose.CONFIRM, 42)[:-1] + "!"
    assert client.get(f"/en/confirm/{token}/").status_code == 404
    assert "Not Found: /en/confirm/…" in hidden.text
    assert token.split(":")[-1] not in hidden.text


def test_other_words_stay_as_they_are(hidden):
    logging.getLogger("some.module").info("delivery %s confirmed by %s", 7, "my friend")
    assert "delivery 7 confirmed by my friend" in hidden.text


def test_arguments_that_do_not_fit_lose_no_line():
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%d of %d", ("one",), None)
    assert HideTokens().filter(record)
    assert (record.msg, record.args) == ("%d of %d", ("one",))


def test_every_configured_handler_hides_tokens():
    for name, handler in configured.LOGGING["handlers"].items():
        assert "hide_tokens" in handler["filters"], name
    assert configured.LOGGING["filters"]["hide_tokens"]["()"] == "campaign.logs.HideTokens"
