"""What all tests share: examples without chance, one Valkey, nobody contacted outside this machine."""

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.utils import translation

from campaign.rehearsal.servers import valkey
from tests import builders, network

TESTS = Path(__file__).parent
GROUPS = ("browser", "flows")  # folders whose tests share costly things: one process runs them all


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also the long tests; more examples, more browsers")


def pytest_configure(config: pytest.Config) -> None:
    network.refuse_strangers()
    # Started in the background, we were told to ignore Ctrl-C; what we start must still hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, examples in [("usual", 100), ("long", 300)]:
        # The same examples every time: a red test is red again, here and elsewhere.
        hypothesis.settings.register_profile(
            name, derandomize=True, deadline=None, database=None, max_examples=examples
        )
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "usual")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in GROUPS:
            item.add_marker(pytest.mark.xdist_group(folder))
    if not config.getoption("--long"):
        kept = [item for item in items if item.get_closest_marker("long") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a real Valkey that belongs to this test process."""
    with valkey() as url:
        yield url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory) -> None:
    """SQLite in a file, as it is run: an in-memory one knows no waiting, only locks."""
    default = settings.DATABASES["default"]
    if default["ENGINE"].endswith("sqlite3"):
        default["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """The test database, with the States and a campaign loaded once: a test's changes are rolled back."""
    with django_db_blocker.unblock():
        builders.world()
        builders.campaign(opened=False)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """English at the start of each test: a client leaves the language of its last page behind."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def no_strangers() -> Iterator[None]:
    """Fail a test that addressed another machine, even where the code swallowed the refusal."""
    network.refused.clear()
    yield
    assert not network.refused, f"This test addressed other machines: {network.refused}"
