"""`manage.py demo`: the whole house on one machine, with a world that is played."""

import json
import os
import secrets
import signal
import socket
import sys
import time
from argparse import SUPPRESS
from pathlib import Path
from typing import Any, Never

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from campaign.rehearsal import seed, telling
from campaign.rehearsal.house import House, open_house
from campaign.rehearsal.mailroom import open_mailroom
from campaign.rehearsal.play import Play, campaign_url
from campaign.rehearsal.post_office import open_post_office
from campaign.rehearsal.servers import ServerFailed
from campaign.rehearsal.supporters import WentWrong

PLAY_SECONDS = 120  # after which a rehearsal that has not settled is judged as it stands
PASSWORD = "REHEARSAL_PASSWORD"  # noqa: S105  a variable's name
LOOK_EVERY = 0.2
AGAIN_SECONDS = 15  # more than a process is given to end
_asked: dict[str, int] = {}  # the signal that came first
CELERY = ["celery", "--app", "campaign"]
WORKER = ["--concurrency", "3", "--without-gossip", "--without-mingle", "--without-heartbeat"]
GUNICORN = ["gunicorn", "campaign.wsgi", "--workers", "2", "--threads", "8", "--no-control-socket"]


class Command(BaseCommand):
    """Without --part it keeps house: it starts itself and others with a private environment."""

    help = (
        "Starts everything on this machine (web, worker, mail, database in a temporary folder), plays a "
        "rehearsal with made-up supporters and ministries, and stays up to be tried out until Ctrl-C."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, help="of the site; by default 8000, or a free one if that is taken"
        )
        parser.add_argument(
            "--once",
            action="store_true",
            help="stop when all is settled; the last line is one JSON object; exit 0 if all came out right",
        )
        parser.add_argument(
            "--keep", type=Path, metavar="FOLDER",
            help="a new or empty folder for database and logs that is not removed at the end",
        )  # fmt: skip
        parser.add_argument("--part", choices=["seed", "play"], help=SUPPRESS)  # what the house starts
        parser.add_argument("--mail-fd", type=int, help=SUPPRESS)
        parser.add_argument("--since", type=float, default=time.monotonic(), help=SUPPRESS)

    def handle(self, *args: Any, part: str | None, **options: Any) -> None:
        if part == "seed":
            seed.sow(password=os.environ[PASSWORD])
        elif part == "play":
            self._play(once=options["once"], mail_fd=options["mail_fd"], since=options["since"])
        else:
            self._keep_house(options)

    def _keep_house(self, options: dict[str, Any]) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, _leave)
        code = 1
        try:
            with open_house(port=options["port"], keep=_empty(options["keep"])) as house:
                try:
                    code = run(house, options)
                finally:
                    signal.alarm(0)
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
                        signal.signal(number, signal.SIG_IGN)  # ending has begun: nothing may interrupt it
                    say("Stopping …")
        except KeyboardInterrupt:
            code = 130 if options["once"] else 0
        except ServerFailed as error:
            raise CommandError(str(error)) from None
        sys.exit(code)

    def _play(self, *, once: bool, mail_fd: int, since: float) -> None:
        door = socket.socket(fileno=mail_fd)
        with (
            open_post_office(door, inbound=settings.INBOUND_LISTEN) as office,
            open_mailroom(office.kept) as mailroom,
        ):
            progress = telling.Progress(sys.stderr)
            try:
                verdict = Play(office, tell=progress).run(until=time.monotonic() + PLAY_SECONDS)
            except WentWrong as error:
                raise CommandError(f"The rehearsal broke off: {error}") from None
            finally:
                progress.end()
            seconds = round(time.monotonic() - since, 1)
            report = sys.stderr if once else sys.stdout
            print(telling.summary(verdict, seconds), file=report, flush=True)
            if once:
                print(json.dumps(verdict.line | {"seconds": seconds}), flush=True)
                sys.exit(0 if verdict.good else 1)
            print(telling.directions(_places(mailroom)), flush=True)
            while True:
                signal.pause()


def run(house: House, options: dict[str, Any]) -> int:
    """Fills the house, lets the rehearsal play, and looks after it until it ends; gives its exit code."""
    password = secrets.token_urlsafe(9)
    say(f"Starting in {house.folder} (logs and database are there) …")
    house.start(
        "web",
        [*GUNICORN, "--bind", f"fd://{house.web_door.fileno()}", "--worker-tmp-dir", str(house.folder)],
        fds=(house.web_door.fileno(),),
    )
    house.start("worker", [*CELERY, "worker", *WORKER])
    house.carry_out("seed", ["django", "demo", "--part=seed"], **{PASSWORD: password})
    house.listen()
    house.start("beat", [*CELERY, "beat", "--pidfile="])
    command = ["django", "demo", "--part=play", f"--since={options['since']}"]
    command += [f"--mail-fd={house.mail_door.fileno()}", *(["--once"] if options["once"] else [])]
    play = house.show(command, **{PASSWORD: password})
    try:
        while play.poll() is None:
            for name in house.look_after():
                say(f"The process “{name}” ended and was started again.")
            time.sleep(LOOK_EVERY)
    finally:
        if play.poll() is None:
            play.terminate()
            play.wait()
    return play.returncode


def say(text: str) -> None:
    """Tells the person what is being done; stdout stays for results."""
    print(f"demarche: {text}", file=sys.stderr, flush=True)


def _places(mailroom: str) -> dict[str, str]:
    admin = settings.SITE_URL + reverse("admin:index")
    return {
        "Site": f"{settings.SITE_URL}/",
        "Campaign": campaign_url(),
        "Post office": f"{mailroom}  (supporters' mail)",
        "Admin": f"{admin}  user {seed.COORDINATOR}, password {os.environ[PASSWORD]}",
    }


def _empty(folder: Path | None) -> Path | None:
    """The folder to keep, made if need be. Raises CommandError when something is in it."""
    if folder is None:
        return None
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{folder} is not empty. Give --keep a new or an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _leave(number: int, frame: object) -> Never:
    """Ends the demo. Said again if need be: within a finaliser Python ignores what is raised."""
    first = _asked.setdefault("by", number)
    signal.alarm(AGAIN_SECONDS)
    raise SystemExit(128 + first)
