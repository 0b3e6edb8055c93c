"""manage.py finds a Python, makes `.venv` and keeps it: with pretended candidates, without a network."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


@pytest.fixture
def manage(tmp_path):
    """manage.py as a module, at home in an empty folder with two locks."""
    spec = importlib.util.spec_from_file_location("manage_under_test", MANAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = str(tmp_path)
    module.VENV = str(tmp_path / ".venv")
    module.PYTHON = str(tmp_path / ".venv" / "bin" / "python")
    module.STAMP = str(tmp_path / ".venv" / "demarche.stamp")
    module.UNFINISHED = str(tmp_path / ".venv" / "demarche.unfinished")
    (tmp_path / "manage.py").touch()
    (tmp_path / ".python-version").write_text("3.13\n")
    (tmp_path / "requirements.lock").write_text("one==1 \\\n    --hash=sha256:11\n")
    (tmp_path / "requirements-test.lock").write_text(
        "one==1 \\\n    --hash=sha256:11\ntwo==2 --hash=sha256:22\n"
    )
    return module


@pytest.fixture
def pretend(tmp_path):
    """Makes a program that answers as a Python of some version would."""

    def make(name, *, version=(3, 13), plain=True, installs=True, exit_code=0):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = {"version": version, "plain": plain, "installs": installs, "python": str(path)}
        path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\nexit {exit_code}\n")
        path.chmod(0o755)
        return str(path)

    return make


def ready(manage, *locks):
    """Pretend that `.venv` was made and `locks` were installed."""
    Path(manage.PYTHON).parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(manage.PYTHON):
        Path(manage.PYTHON).symlink_to(sys.executable)
    stamp = {
        "python": list(sys.version_info[:2]),
        "locks": {lock: manage.fingerprint(lock) for lock in locks},
    }
    Path(manage.STAMP).write_text(json.dumps(stamp))


class TestTheChoice:
    def test_the_preferred_version_wins_wherever_it_stands(self, manage, pretend):
        paths = [pretend("a", version=(3, 14)), pretend("b", version=(3, 12)), pretend("c", version=(3, 13))]
        assert manage.choose(paths, [3, 13]).python == paths[2]

    def test_else_the_first_that_fits(self, manage, pretend):
        paths = [
            pretend("old", version=(3, 11)),
            pretend("a", version=(3, 14)),
            pretend("b", version=(3, 12)),
        ]
        assert manage.choose(paths, [3, 13]).python == paths[1]

    def test_a_shim_that_does_not_run_is_passed_over(self, manage, pretend):
        shim = pretend("shim", exit_code=127)
        assert manage.choose([shim, pretend("real")], [3, 13]).python.endswith("real")

    @pytest.mark.parametrize(
        ("what", "why"),
        [
            ({"version": (3, 11)}, "is Python 3.11"),
            ({"plain": False}, "not plain CPython"),
            ({"installs": False}, "neither ensurepip nor pip"),
            ({"exit_code": 127}, "does not run"),
        ],
    )
    def test_the_refusal_says_what_was_found_and_what_to_do(self, manage, pretend, what, why):
        path = pretend("some-python", **what)
        with pytest.raises(manage.Trouble) as trouble:
            manage.choose([path], [3, 13])
        assert f"{path} " in str(trouble.value)
        assert why in str(trouble.value)
        assert "Install one" in str(trouble.value)

    def test_this_very_python_passes_its_own_probe(self, manage):
        found = manage.probe(sys.executable)
        assert found.problem == ""
        assert found.version == list(sys.version_info[:2])

    def test_something_else_altogether_does_not_run(self, manage, tmp_path):
        assert manage.probe("/bin/true").problem == "does not run"
        assert manage.probe(str(tmp_path / "missing")).problem == "does not run"


class TestTheCandidates:
    def test_pyenv_and_uv_folders_are_looked_into_newest_first(self, manage, pretend, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("PYENV_ROOT", raising=False)
        old = pretend(".pyenv/versions/3.9.18/bin/python3")
        new = pretend(".pyenv/versions/3.13.0/bin/python3")
        of_uv = pretend(".local/share/uv/python/cpython-3.14/bin/python3")
        found = list(manage.candidates())
        assert found.index(new) < found.index(old)
        assert of_uv in found

    def test_each_is_tried_once(self, manage, pretend, tmp_path, monkeypatch):
        real = pretend("bin/python3.13")
        (tmp_path / "bin" / "python3").symlink_to(real)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert [path for path in manage.candidates() if path.startswith(str(tmp_path))] == [real]

    def test_an_emptied_environment_is_no_obstacle(self, manage, monkeypatch):
        for name in ("PATH", "HOME", "PYENV_ROOT"):
            monkeypatch.delenv(name, raising=False)
        assert next(manage.candidates()) == sys.executable


class TestTheStamp:
    def test_nothing_is_fresh_at_first(self, manage):
        assert not manage.fresh("requirements.lock")
        assert not manage.sound()

    def test_the_test_lock_serves_both_commands_and_the_runtime_lock_one(self, manage):
        ready(manage, "requirements.lock")
        assert manage.fresh("requirements.lock")
        assert not manage.fresh("requirements-test.lock")

    def test_a_changed_lock_is_installed_again(self, manage, tmp_path):
        ready(manage, "requirements.lock")
        (tmp_path / "requirements.lock").write_text("one==2 --hash=sha256:33\n")
        assert not manage.fresh("requirements.lock")
        assert manage.sound()

    def test_an_interrupted_install_is_not_trusted(self, manage):
        ready(manage, "requirements.lock")
        Path(manage.UNFINISHED).touch()
        assert not manage.fresh("requirements.lock")
        assert not manage.sound()

    def test_a_python_that_went_away_means_a_new_venv(self, manage):
        ready(manage, "requirements.lock")
        Path(manage.PYTHON).unlink()
        Path(manage.PYTHON).symlink_to("/nonexistent/python3.13")
        assert not manage.fresh("requirements.lock")
        assert not manage.sound()

    def test_a_python_exchanged_beneath_it_means_a_new_venv(self, manage):
        ready(manage, "requirements.lock")
        stamp = json.loads(Path(manage.STAMP).read_text())
        Path(manage.STAMP).write_text(json.dumps(stamp | {"python": [3, 9]}))
        assert not manage.sound()

    @pytest.mark.parametrize("content", ["", "not json", "{}"])
    def test_a_damaged_stamp_is_no_stamp(self, manage, content):
        ready(manage)
        Path(manage.STAMP).write_text(content)
        assert not manage.fresh("requirements.lock")

    def test_a_missing_lock_is_told(self, manage, tmp_path):
        (tmp_path / "requirements.lock").unlink()
        with pytest.raises(manage.Trouble, match=r"requirements\.lock.*checkout"):
            manage.fingerprint("requirements.lock")


class TestInstalling:
    @pytest.fixture
    def pip(self, manage, tmp_path, monkeypatch):
        """A pretended pip: runs a line of shell and remembers how it was called."""

        def pretend_pip(script):
            path = tmp_path / "pip"
            path.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/called"\n{script}\n')
            path.chmod(0o755)
            monkeypatch.setattr(manage, "pip", lambda: [str(path)])

        ready(manage)
        Path(manage.STAMP).unlink()
        return pretend_pip

    def test_only_hashed_wheels_are_taken_and_the_stamp_comes_last(self, manage, pip, tmp_path, capfd):
        pip(f"test -e {tmp_path}/.venv/demarche.unfinished && ! test -e {tmp_path}/.venv/demarche.stamp")
        manage.prepare("requirements-test.lock")
        called = (tmp_path / "called").read_text()
        assert "--require-hashes --only-binary :all:" in called
        assert called.strip().endswith("requirements-test.lock")
        assert manage.fresh("requirements.lock")
        assert manage.fresh("requirements-test.lock")
        assert not Path(manage.UNFINISHED).exists()
        assert "Installing what requirements-test.lock pins" in capfd.readouterr().err

    def test_a_second_start_does_nothing(self, manage, pip, capfd):
        pip("true")
        manage.prepare("requirements.lock")
        pip("false")
        capfd.readouterr()
        manage.prepare("requirements.lock")
        assert capfd.readouterr().err == ""

    def test_a_failure_says_what_to_do_and_is_tried_again(self, manage, pip):
        pip("echo 'no route to host' >&2; exit 1")
        with pytest.raises(manage.Trouble, match=r"(?s)no route to host.*network connection or a mirror"):
            manage.prepare("requirements.lock")
        assert not manage.fresh("requirements.lock")
        assert manage.sound()

    def test_two_starts_take_turns(self, manage, pip, capfd):
        pip("sleep 0.5")
        starts = [threading.Thread(target=manage.prepare, args=["requirements.lock"]) for _ in range(2)]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        said = capfd.readouterr().err
        assert said.count("Installing") == 1
        assert said.count("waiting") == 1


class TestGoingInside:
    @pytest.fixture
    def taken(self, manage, monkeypatch):
        """Records where main() goes instead of going there."""
        way = []
        monkeypatch.setattr(manage, "go_inside", lambda argv: way.append(("inside", argv[1])) or sys.exit(0))
        monkeypatch.setattr(manage, "prepare", lambda lock: way.append(("prepare", lock)))
        monkeypatch.setattr(manage.sys, "prefix", "/usr")
        monkeypatch.setattr(manage.sys, "base_prefix", "/usr")
        monkeypatch.setattr(
            "django.core.management.execute_from_command_line", lambda argv: way.append(("django", argv[1]))
        )
        return way

    def start(self, manage, command):
        try:
            manage.main(["manage.py", command])
        except SystemExit:
            pass

    def test_demo_and_test_prepare_first(self, manage, taken):
        self.start(manage, "demo")
        self.start(manage, "test")
        assert taken == [
            ("prepare", "requirements.lock"),
            ("inside", "demo"),
            ("prepare", "requirements-test.lock"),
            ("inside", "test"),
        ]

    def test_other_commands_use_what_is_there(self, manage, taken):
        ready(manage, "requirements.lock")
        self.start(manage, "migrate")
        assert taken == [("inside", "migrate")]

    def test_without_venv_an_interpreter_with_django_will_do(self, manage, taken):
        self.start(manage, "migrate")
        assert taken == [("django", "migrate")]

    def test_an_environment_of_the_person_s_own_is_respected(self, manage, taken, monkeypatch):
        ready(manage, "requirements.lock")
        monkeypatch.setattr(manage.sys, "prefix", "/home/ana/env")
        self.start(manage, "migrate")
        assert taken == [("django", "migrate")]

    def test_without_anything_the_way_on_is_told(self, manage, taken, monkeypatch):
        monkeypatch.setattr(manage, "django_here", lambda: False)
        with pytest.raises(manage.Trouble, match=r"manage\.py demo$"):
            manage.main(["manage.py", "migrate"])


def test_ctrl_c_reaches_what_runs_inside(manage, tmp_path):
    ready(manage, "requirements.lock")
    lines = [
        "import time",
        "try:",
        "    print('up', flush=True)",
        "    time.sleep(60)",
        "except KeyboardInterrupt: print('down')",
    ]
    (tmp_path / "manage.py").write_text("\n".join(lines))
    code = textwrap.dedent(f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location("manage", {str(MANAGE)!r})
        manage = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(manage)
        manage.ROOT, manage.PYTHON = {manage.ROOT!r}, {manage.PYTHON!r}
        manage.go_inside(["manage.py", "demo"])
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0] == "down\n"
    assert process.returncode == 0
