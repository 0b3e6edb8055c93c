"""The house keeps its own rules: style, types, imports, migrations, deployment checks, locks."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-test.lock")
FILE_LINES = 400
FUNCTION_LINES = 50
PRODUCTION = {
    "SITE_URL": "https://letters.example.org",
    "SECRET_KEY": "Zk3vT9wq-5LxRb7uYp2NfHs8JdGm4CaEeQ6tVzBn1WyKoXi0-UgMr",
    "SUPPRESSION_KEY": "p8HsQw2ZyLr5Tn9VkXb3McJf7GdEa4RuYi6OtBz1NvKxWq0S-CoFe",
    "DATABASE_URL": "postgres://demarche:secret@db.example.org/demarche",
    "REDIS_URL": "rediss://:secret@redis.example.org:6379/0",
    "MAIL_URL": "smtps://staff:secret@mail.example.org",
    "SUPPORTERS_MAIL_URL": "smtps://supporters:secret@mail.example.org",
    "LETTERS_MAIL_URL": "smtps://letters:secret@mail.example.org",
    "REPLY_DOMAIN": "replies.example.org",
    "INBOUND_LISTEN": "lmtp://127.0.0.1:8024",
}


def attempt(*command: str, **environment: str) -> tuple[int, str]:
    """Run a Python module (or manage.py) in the project's folder; gives its exit code and output."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "campaign.settings"} | environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def run(*command: str, **environment: str) -> str:
    """The same for a command that must succeed: gives its output, or fails the test with it."""
    code, output = attempt(*command, **environment)
    if code:
        print(output)
        pytest.fail(f"{' '.join(command)}: exit {code}", pytrace=False)
    return output


def sources() -> list[Path]:
    """Every Python file written by hand."""
    folders = ("campaign", "contacts", "letters", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [ROOT / "manage.py", *(path for path in found if "migrations" not in path.parts)]


def test_ruff_finds_nothing():
    run("-m", "ruff", "check", ".")


def test_ruff_would_format_nothing():
    run("-m", "ruff", "format", "--check", ".")


@pytest.mark.parametrize("mode", ["--check", "--lint"])
def test_djlint_finds_nothing_in_the_templates(mode):
    run("-m", "djlint", "templates", mode, "--quiet")


def test_mypy_finds_nothing():
    run("-m", "mypy")


def test_imports_descend():
    output = run(
        "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"
    )
    assert "0 broken" in output


def test_no_migration_is_missing(tmp_path):
    database = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    run("manage.py", "makemigrations", "--check", "--dry-run", DATABASE_URL=database)


def test_django_has_nothing_against_a_deployment():
    run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)


def test_django_would_object_to_a_careless_deployment():
    careless = PRODUCTION | {"SITE_URL": "http://letters.example.org"}
    code, output = attempt("manage.py", "check", "--deploy", "--fail-level", "WARNING", **careless)
    assert code == 1
    assert "SECURE_HSTS_SECONDS" in output


def test_files_stay_short():
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources()}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}


def test_functions_stay_short():
    too_long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LINES:
                    too_long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = length
    assert too_long == {}


def test_manage_py_keeps_to_old_syntax():
    tree = ast.parse((ROOT / "manage.py").read_text(), feature_version=(3, 7))
    newer = ast.JoinedStr | ast.AnnAssign | ast.AsyncFunctionDef  # of Python 3.5 and 3.6
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, newer)] == []


def pinned(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """What a lock pins: {name: (version with its marker, hashes)}."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    entries = {}
    for line in lines:
        found = re.fullmatch(
            r"([\w.\-\[\],]+)(==[^\s]+(?: ; .*?)?)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line
        )
        assert found, f"{lock}: not pinned, or without a hash: {line}"
        entries[found[1]] = (found[2], frozenset(found[3].split()))
    return entries


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock):
    assert "http" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_pinned_and_hashed(lock):
    assert len(pinned(lock)) > 20


def test_the_test_lock_holds_the_runtime_lock():
    test = pinned("requirements-test.lock")
    assert {name: pin for name, pin in pinned("requirements.lock").items() if test.get(name) != pin} == {}


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ()), ("requirements-test.lock", ("test",))]
)
def test_a_lock_has_what_the_project_asks_for(lock, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    versions = {canonicalize_name(name.partition("[")[0]): pin for name, (pin, _) in pinned(lock).items()}
    for requirement in map(Requirement, asked):
        pin = versions.get(canonicalize_name(requirement.name))
        assert pin, f"{requirement} is not in {lock}: compile it anew"
        version = pin.removeprefix("==").partition(" ")[0]
        assert requirement.specifier.contains(version), f"{lock} has {version}, asked for is {requirement}"
