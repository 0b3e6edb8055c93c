"""A real browser on a real site: phone, desktop, and without JavaScript.

`page` runs a test once per look (a marker `looks("phone", …)` chooses them); `open_page(look)` opens
more pages, each in a visit of its own. A page that asks another host for anything, breaks its content
security policy or throws fails its test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, sync_playwright

from tests.browser.site import Site, run_site

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
LOOKS: dict[str, dict[str, Any]] = {
    "phone": PHONE,
    "desktop": DESKTOP,
    "plain": DESKTOP | {"java_script_enabled": False},
}
MORE_LOOKS: dict[str, dict[str, Any]] = {  # only with --long
    "plain-phone": PHONE | {"java_script_enabled": False},
    "narrow": {"viewport": {"width": 320, "height": 640}},
    "dark": DESKTOP | {"color_scheme": "dark"},
    "few-colours": DESKTOP | {"forced_colors": "active", "reduced_motion": "reduce"},
    "french": DESKTOP | {"locale": "fr-FR"},
}
WAIT = 10_000  # milliseconds for anything to appear


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "look" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("looks")
        more = MORE_LOOKS if metafunc.config.getoption("--long") else {}
        metafunc.parametrize("look", marker.args if marker else [*LOOKS, *more])


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The machine's Chromium. Without one, tests are skipped; where CI is set, they fail."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        why = f"no browser on this machine (looked for {', '.join(PROGRAMS)})"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=[*QUIET, *sandbox])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def site(valkey_url: str) -> Iterator[Site]:
    """A whole site with a database and a postbox of its own, shared by the tests of this folder."""
    with run_site(redis_url=valkey_url) as site:
        yield site


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[[str], Page]]:
    """Opens a page in a fresh visit of a look: `open_page("phone")`."""
    visits: list[BrowserContext] = []
    problems: list[str] = []

    def open_it(look: str = "desktop") -> Page:
        visit = browser.new_context(base_url=site.url, **(LOOKS | MORE_LOOKS)[look])
        visits.append(visit)
        visit.set_default_timeout(WAIT)
        visit.route("**/*", lambda route: stay_on_site(route, site, problems))
        page = visit.new_page()
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda message: note(message, problems))
        return page

    yield open_it
    for visit in visits:
        visit.close()
    assert not problems, "\n".join([*problems, site.log("web")])


@pytest.fixture
def page(open_page: Callable[[str], Page], look: str) -> Page:
    """A page of the site, once per look."""
    return open_page(look)


def stay_on_site(route: Route, site: Site, problems: list[str]) -> None:
    """Let requests to the site pass, and stop and note all others."""
    if urlsplit(route.request.url).netloc == urlsplit(site.url).netloc:
        route.continue_()
    else:
        problems.append(f"asked another host: {route.request.url}")
        route.abort()


def note(message: ConsoleMessage, problems: list[str]) -> None:
    """Keep the browser's complaints, but for refusals (404 and the like) that tests ask for."""
    if message.type == "error" and "Failed to load resource" not in message.text:
        problems.append(f"console: {message.text}")
