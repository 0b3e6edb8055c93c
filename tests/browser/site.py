"""A whole site for the browser: web server, database and mail of its own, in processes of its own.

Playwright keeps an event loop in the thread it is used from, and Django's ORM refuses to work there.
So tests here look at the site from outside, or through `site.python`, never through the ORM.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.rehearsal.servers import ServerFailed, scratch_folder, spawn, stop, tail
from tests.postbox import Postbox, open_postbox

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30


class Site:
    """A running site; `url` is its address, `postbox` has all the mail that it sends."""

    def __init__(self, *, folder: Path, port: int, postbox: Postbox, redis_url: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.postbox = postbox
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "campaign.settings",
            "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
            "REDIS_URL": redis_url,
            "SITE_URL": self.url,
            "MAIL_URL": postbox.url,
            "SUPPORTERS_MAIL_URL": postbox.url,
            "LETTERS_MAIL_URL": postbox.url,
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command in this site; gives what it printed. Raises when it fails."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ServerFailed(f"manage.py {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def python(self, code: str) -> str:
        """Run Python code with this site's models; gives what it printed."""
        return self.manage("shell", "--no-imports", "--verbosity", "0", "--command", code)

    def start_web(self, door: socket.socket) -> None:
        """Start the web server on a socket that already listens. Raises ServerFailed if it stays silent."""
        options = ["--bind", f"fd://{door.fileno()}", "--threads", "4", "--access-logfile", "-"]
        self._start("web", ["gunicorn", "campaign.wsgi", *options], pass_fds=[door.fileno()])
        deadline = time.monotonic() + START_SECONDS
        while self._processes[-1].poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/", timeout=START_SECONDS).close()
            except urllib.error.HTTPError:
                pass  # any answer is an answer
            except OSError:
                time.sleep(0.05)
                continue
            return
        raise ServerFailed(f"The web server did not start:\n{self.log('web')}")

    def start_worker(self) -> None:
        """Start a Celery worker with its beat; it takes a few seconds to be of use."""
        beat = ["--beat", "--schedule", str(self.folder / "beat")]
        options = ["--concurrency", "1", "--loglevel", "INFO", *beat]
        self._start("worker", ["celery", "--app", "campaign.celery", "worker", *options])

    def stop(self) -> None:
        """End what was started, last first."""
        while self._processes:
            stop(self._processes.pop())

    def log(self, name: str) -> str:
        """The end of a process's log: "web" or "worker"."""
        return tail(self.folder / f"{name}.log", lines=40)

    def _start(self, name: str, command: list[str], *, pass_fds: tuple[int, ...] | list[int] = ()) -> None:
        command = [sys.executable, "-m", *command]
        log = self.folder / f"{name}.log"
        self._processes.append(
            spawn(command, log=log, env=self.environment, cwd=ROOT, pass_fds=tuple(pass_fds))
        )


@contextmanager
def run_site(*, redis_url: str) -> Iterator[Site]:
    """Run a migrated, empty site on a free port; a worker only if the test starts one."""
    with (
        scratch_folder("site") as folder,
        open_postbox() as postbox,
        socket.create_server(("127.0.0.1", 0), backlog=64) as door,
    ):
        site = Site(folder=folder, port=door.getsockname()[1], postbox=postbox, redis_url=redis_url)
        try:
            site.manage("migrate", "--verbosity", "0")
            site.start_web(door)
            yield site
        finally:
            site.stop()
