"""Response headers: a strict policy for everybody, the admin's own under its own path."""

import re

import pytest
from django.urls import reverse

from tests import builders

pytestmark = pytest.mark.django_db


def policy(response):
    return dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))


@pytest.fixture
def peace():
    return builders.open_campaign()


@pytest.mark.parametrize(
    "place", ["/en/", "/fr/peace/", "/es/peace/write/", "/en/nowhere/", "/healthz", "/en/confirm/x/"]
)
def test_public_pages_run_and_load_nothing_but_ours(client, peace, place):
    answer = client.get(place)
    rules = policy(answer)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("place", ["/en/", "/en/peace/", "/en/peace/write/?country=FR"])
def test_public_pages_keep_their_own_policy(client, peace, place):
    page = client.get(place).content.decode()
    for forbidden in ("style=", "onclick=", "javascript:", "<style", "<iframe"):
        assert forbidden not in page
    scripts = re.findall(r"<script[^>]*>", page)
    assert scripts
    assert all('src="/static/' in script for script in scripts)


def test_the_admin_has_the_policy_that_it_needs_and_nobody_else(client, admin_client, peace):
    for visitor, place in [(client, reverse("admin:login")), (admin_client, reverse("admin:index"))]:
        rules = policy(visitor.get(place))
        assert "'unsafe-eval'" in rules["script-src"]
        assert rules["default-src"] == "'none'"
        assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in admin_client.get("/en/")["Content-Security-Policy"]
    assert "unsafe" not in client.get("/administration/")["Content-Security-Policy"]


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(client, peace):
    client.get("/en/peace/write/")
    client.post("/en/peace/write/", builders.form_data())
    assert set(client.cookies) == {"csrftoken", "typed_address"}
    for cookie in client.cookies.values():
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"


def test_reading_sets_no_cookie(client, peace):
    for place in ("/en/", "/en/peace/"):
        assert not client.get(place).cookies
