#!/usr/bin/env python3
"""Starts Demarche: `python3 manage.py demo`, `python3 manage.py test`, or any other Django command.

`demo` and `test` make `.venv` beside this file when it is missing or out of date, and go on inside
it. Any Python 3 can start this file: it finds a Python that is new enough by itself. Therefore only
the standard library and old syntax are used here.
"""

import collections
import contextlib
import glob
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys

try:
    import fcntl
    import pwd
except ImportError:
    sys.exit("Demarche runs on Linux and macOS. On Windows, start it inside WSL.")

ROOT = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "demarche.stamp")  # which locks are installed, for which Python
UNFINISHED = os.path.join(VENV, "demarche.unfinished")  # there while packages are being installed

OLDEST = (3, 12)
RUNTIME_LOCK = "requirements.lock"
TEST_LOCK = "requirements-test.lock"  # holds what the runtime lock holds, and more
LOCKS = {"demo": RUNTIME_LOCK, "test": TEST_LOCK}
MISLEADING = ("PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")

PROBE = """
import importlib.util, json, sys
print(json.dumps({
    "version": sys.version_info[:2],
    "plain": sys.implementation.name == "cpython" and "t" not in getattr(sys, "abiflags", ""),
    "installs": any(importlib.util.find_spec(name) for name in ("ensurepip", "pip")),
    "python": getattr(sys, "_base_executable", None) or sys.executable,
}))
"""
Found = collections.namedtuple("Found", "python version problem")


class Trouble(Exception):
    """Something the person at the keyboard has to mend; the text says what to do."""


def main(argv):
    """Prepare `.venv` where the command asks for it, go into it, and hand over to Django."""
    command = argv[1] if len(argv) > 1 else ""
    if command in LOCKS:
        prepare(LOCKS[command])
        if not inside():
            go_inside(argv)
    elif inside():
        if os.path.exists(STAMP) and not fresh(RUNTIME_LOCK):
            say("The pinned packages have changed since .venv was made: `manage.py demo` renews it.")
    elif not (django_here() and sys.prefix != sys.base_prefix):  # not in the person's own environment
        if os.path.exists(STAMP) and os.path.exists(PYTHON):
            go_inside(argv)
        elif not django_here():
            raise Trouble("Nothing is installed yet. Start with: python3 manage.py demo")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaign.settings")
    sys.path.insert(0, ROOT)  # also where PYTHONSAFEPATH is set
    from django.core.management import execute_from_command_line

    execute_from_command_line(argv)


def go_inside(argv):
    """Become the Python of `.venv`: still the same process, so signals keep their meaning."""
    os.execve(PYTHON, [PYTHON, os.path.join(ROOT, "manage.py")] + argv[1:], plain_environment())


def inside():
    """Whether this process already runs on `.venv`."""
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def django_here():
    """Whether this very interpreter can run Demarche, as in a container made for it."""
    return sys.version_info >= OLDEST and importlib.util.find_spec("django") is not None


def prepare(lock):
    """Bring `.venv` to what `lock` (a file name) says, unless it is there already.

    Two starts at once take turns. Raises Trouble when no Python fits or installing fails.
    """
    if fresh(lock):
        return
    with taking_turns() as turn:
        if not fresh(lock):
            if not sound():
                make_venv()
            install(lock, turn)


def fresh(lock):
    """Whether `.venv` was installed, completely, from `lock` as it is now."""
    stamp = read_stamp()
    if os.path.exists(UNFINISHED) or not os.path.exists(PYTHON):
        return False
    if inside() and stamp.get("python") != list(sys.version_info[:2]):
        return False  # the system's Python was exchanged beneath it
    return stamp.get("locks", {}).get(lock) == fingerprint(lock)


def sound():
    """Whether packages can be installed into `.venv` as it stands; otherwise it is made anew."""
    if os.path.exists(UNFINISHED) or not os.path.exists(PYTHON):
        return False
    found = probe(PYTHON)
    return not found.problem and read_stamp().get("python", found.version) == found.version


def read_stamp():
    """What was installed: {"python": [3, 13], "locks": {file name: SHA-256}}, or {} when unknown."""
    try:
        with open(STAMP) as handle:
            return json.load(handle)
    except (OSError, ValueError):
        return {}


def fingerprint(lock):
    """SHA-256 of a lock file, hexadecimal."""
    return hashlib.sha256(read(lock).encode("utf-8")).hexdigest()


def make_venv():
    """Make `.venv`, empty, with the best Python of this machine."""
    found = choose(candidates(), numbers_in(read(".python-version"))[:2])
    say("Making .venv with Python {}.{} ({}).".format(found.version[0], found.version[1], found.python))
    command = [found.python, "-I", "-m", "venv", "--clear", "--without-pip", VENV]
    if subprocess.call(command, stdout=sys.stderr, env=plain_environment()):
        raise Trouble("Python could not make {}; what it said stands above.".format(VENV))


def install(lock, turn):
    """Install what `lock` pins; pip inherits `turn` so that a second start waits while pip lives."""
    say("Installing what {} pins; the first time, this takes a minute or two.".format(lock))
    with open(UNFINISHED, "w"):
        pass
    command = pip() + ["install", "--require-hashes", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", os.path.join(ROOT, lock)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
    process = subprocess.Popen(command, pass_fds=[turn], env=plain_environment(), **pipes)
    last_words = follow(process.stdout)
    failed = process.wait()
    os.remove(UNFINISHED)  # pip undoes what it could not finish: only a killed one leaves the mark
    if failed:
        raise Trouble(
            last_words + "Installing failed, see above. It needs a network connection or a mirror\n"
            "(PIP_INDEX_URL, PIP_FIND_LINKS). Mend that and start again: what is there is kept."
        )
    with open(STAMP, "w") as handle:
        locks = {name: fingerprint(name) for name in {RUNTIME_LOCK, lock}}
        json.dump({"python": probe(PYTHON).version, "locks": locks}, handle)
    say("Ready.")


def pip():
    """The command that runs pip for `.venv`: its own, or its maker's where Debian left ensurepip out."""
    own = [PYTHON, "-I", "-m", "pip"]
    for attempt in (own + ["--version"], [PYTHON, "-I", "-m", "ensurepip"]):
        with open(os.devnull, "w") as nowhere:
            if subprocess.call(attempt, stdout=nowhere, stderr=nowhere, env=plain_environment()) == 0:
                return own
    return [probe(PYTHON).python, "-I", "-m", "pip", "--python", PYTHON]


def follow(lines):
    """Read what pip says, count the packages on a terminal, and give the last ten lines."""
    done, last = 0, collections.deque(maxlen=10)
    for line in lines:
        last.append(line)
        done += line.startswith("Collecting ")
        if sys.stderr.isatty() and line.startswith(("Collecting ", "Installing ")):
            end = "" if line.startswith("Collecting ") else ", unpacking\n"
            print("\r  {} packages".format(done), end=end, file=sys.stderr, flush=True)
    return "pip's last words:\n" + "".join(last)


def choose(paths, wanted):
    """The Python to build on: the first one of the version `wanted`, else the first that fits.

    `paths` are tried one by one, by running them. Raises Trouble, with what was found, if none fits.
    """
    fitting, refused = [], []
    for path in paths:
        found = probe(path)
        if not found.problem and found.version == wanted:
            return found
        (refused if found.problem else fitting).append((path, found))
    if fitting:
        return fitting[0][1]
    raise Trouble(
        "Demarche needs Python 3.12 or newer. Here there are only:\n{}\nInstall one (Debian 13, "
        "Ubuntu 24.04: apt install python3 python3-venv; elsewhere: pyenv, uv or\npython.org) "
        "and start again.".format("\n".join("  {} {}".format(path, found.problem) for path, found in refused))
    )


def probe(path):
    """Run a candidate and ask what it is; `problem` says why it cannot be used, or is empty.

    Running is the only sure test: pyenv's shims exist for versions that are not switched on.
    """
    quiet = {"stderr": subprocess.DEVNULL, "timeout": 20, "env": plain_environment()}
    try:
        answer = json.loads(subprocess.check_output([path, "-I", "-c", PROBE], **quiet).decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        return Found(path, [], "does not run")
    checks = [
        (tuple(answer["version"]) >= OLDEST, "is Python {}.{}".format(*answer["version"])),
        (answer["plain"], "is not plain CPython, for which the packages are built"),
        (answer["installs"], "has neither ensurepip nor pip (Debian: apt install python3-venv)"),
    ]
    problems = [problem for passed, problem in checks if not passed]
    return Found(answer["python"], answer["version"], " and ".join(problems))


def candidates():
    """Paths of Pythons that this machine may have, each once, the likely ones first; not yet run."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
    names = ["python3.13", "python3.12", "python3.14", "python3", "python"]
    paths = [sys.executable]
    paths += [os.path.join(folder, name) for name in names for folder in folders if folder]
    homes = [os.path.expanduser("~")] + [user.pw_dir for user in pwd.getpwall() if user.pw_uid == os.getuid()]
    kept = [os.path.join(os.environ.get("PYENV_ROOT", ""), "versions")]
    for home in homes:  # the second one counts where HOME points elsewhere
        kept += [os.path.join(home, ".pyenv", "versions"), os.path.join(home, ".local/share/uv/python")]
    for folder in kept:
        found = glob.glob(os.path.join(folder, "*", "bin", "python3"))
        paths += sorted(found, key=numbers_in, reverse=True)
    seen = set()
    for path in paths:
        if path and os.access(path, os.X_OK) and os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            yield path


def numbers_in(text):
    """All the numbers in a text, so that 3.9 sorts before 3.13."""
    return [int(number) for number in re.findall(r"\d+", text)]


@contextlib.contextmanager
def taking_turns():
    """Let one start at a time prepare `.venv`; yields the lock's file descriptor.

    The lock is on this file, which is always there; a child that inherits it keeps it.
    """
    with open(os.path.join(ROOT, "manage.py")) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start is preparing .venv; waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def plain_environment():
    """The environment for another Python, without what would lead it or pip out of `.venv`."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING}


def read(name):
    """A project file's text. Raises Trouble when the file is missing."""
    try:
        with open(os.path.join(ROOT, name), encoding="utf-8") as handle:
            return handle.read()
    except OSError as error:
        text = "Cannot read {}: {}. Is the checkout complete?".format(name, error.strerror)
        raise Trouble(text) from None


def say(text):
    """Tell the person what is being done; stdout stays for the command itself."""
    sys.stderr.write("demarche: " + text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(sys.argv)
    except Trouble as trouble:
        say(str(trouble))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
