"""Tokens of personal links stay out of the logs."""

import logging
import logging.config

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


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("language", ["en", "fr", "es"])
def test_a_path_is_logged_without_its_token(caplog, purpose, language):
    token = links.make(purpose, 42)
    path = f"/{language}/{PATHS[purpose]}/{token}/"
    caplog.handler.addFilter(HideTokens())
    try:
        log = logging.getLogger("some.module")
        log.warning("Not Found: %s", path)
        log.warning(f"GET {path} 404")
        log.warning("two: %s and %s, %d", path, f"{path}withdraw/7/", 3)
        log.warning("named: %(path)s", {"path": path})
    finally:
        caplog.handler.removeFilter(caplog.handler.filters[-1])
    assert token not in caplog.text
    assert token.split(":")[-1] not in caplog.text
    assert caplog.text.count(f"/{language}/{PATHS[purpose]}/…") == 5
    assert "withdraw/7/ , 3" in caplog.text or "withdraw/7/, 3" in caplog.text


@pytest.mark.django_db
def test_what_the_site_itself_logs_of_a_wrong_link_holds_no_token(client, caplog):
    caplog.handler.addFilter(HideTokens())
    token = links.make(Purpose.CONFIRM, 42)[:-1] + "!"
    with caplog.at_level(logging.DEBUG):
        assert client.get(f"/en/confirm/{token}/").status_code == 404
    caplog.handler.removeFilter(caplog.handler.filters[-1])
    assert "Not Found" in caplog.text
    assert token not in caplog.text


def test_other_words_stay_as_they_are():
    record = logging.LogRecord(
        "x", logging.INFO, "x", 1, "delivery %s confirmed by %s", (7, "my friend"), None
    )
    assert HideTokens().filter(record)
    assert record.getMessage() == "delivery 7 confirmed by my friend"


def test_every_handler_that_is_configured_hides_tokens():
    for name, handler in configured.LOGGING["handlers"].items():
        assert "hide_tokens" in handler["filters"], name
    assert configured.LOGGING["filters"]["hide_tokens"]["()"] == "campaign.logs.HideTokens"
