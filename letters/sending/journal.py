"""A worker's journal on its own disk, so that a crash leaves few doubts.

What was said to a relay, and what it answered. One file a round, held by a lock that the kernel takes away
from the dead. A dot is noted before it is sent, an answer as soon as it is read: whoever finds a file
without its owner knows of each letter whether it can have left. What a crash of the whole machine may have
kept from the disk is not believed: each file names the boot that it was written in.
"""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection

from letters.sending.jobs import Result, Verdict

log = logging.getLogger(__name__)
BOOT = Path("/proc/sys/kernel/random/boot_id")
ENDING = ".journal"


@dataclass
class Found:
    """What the journal of a dead worker says."""

    name: str
    trusted: bool  # nothing that was written can be missing
    dotted: set[int] = field(default_factory=set)  # the final dot was about to be sent
    results: dict[int, Result] = field(default_factory=dict)


class Journal:
    """The journal of one round. Without a folder that can be written to, it keeps nothing.

    Raises OSError when the disk is full.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self.path = (folder or home()) / f"{name}{ENDING}"
        self._file = -1
        self._answers = ""  # noted, and not written yet
        self._torn = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(self._file).st_nlink:
                raise OSError("somebody took it for abandoned")
            self._write(f"boot {_boot()}\n")
        except OSError as error:
            self.close(settled=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # nothing leaves that could not be noted; where there is no folder at all, it may
            log.warning("no journal (%s): after a crash whole batches are in doubt", error)

    @property
    def kept(self) -> bool:
        """Whether it is written at all."""
        return self._file >= 0

    def dot(self, number: int) -> None:
        """Notes that the final dot of a delivery is about to be sent. Raises OSError when it cannot."""
        if self._file >= 0:
            self._write(f"{self._answers}dot {number}\n")
            self._answers = ""

    def answer(self, number: int, result: Result) -> None:
        """Notes what the other side said, with the next dot or the next `save`, whichever is sooner."""
        words = " ".join(result.words.split())[:300]
        self._answers += f"{result.verdict} {number} {result.provider_id or '-'} {words}\n"

    def save(self) -> None:
        """Writes the answers that were noted. On a full disk they wait: the ledger will have them soon."""
        if self._file >= 0 and self._answers:
            with contextlib.suppress(OSError):
                self._write(self._answers)
                self._answers = ""

    def close(self, *, settled: bool) -> None:
        """Lets go; the file goes too when all that it says stands in the ledger."""
        self.save()
        if self._file >= 0:
            if settled:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _write(self, line: str) -> None:
        data = (self._torn + line).encode("utf-8", "replace")
        self._torn = "\n"  # a line that was written in part must not swallow the next one
        if os.write(self._file, data) == len(data):
            self._torn = ""
        else:
            raise OSError(errno.ENOSPC, "the journal could not be written")


def home() -> Path:
    """The folder of this database's journals: two installations on one disk never read each other's."""
    config = connection.settings_dict
    key = "|".join(str(config.get(part) or "") for part in ("ENGINE", "HOST", "PORT", "NAME"))
    return Path(settings.JOURNAL_DIR) / hashlib.sha256(key.encode()).hexdigest()[:12]


@contextmanager
def abandoned(path: Path) -> Iterator[Found | None]:
    """What a journal says whose owner is dead, None when somebody holds it; the file is gone afterwards.

    When the block raises, the file stays for the next one to read.
    """
    file = _taken(path)
    if file is None:
        yield None
        return
    try:
        yield _read(path)
        path.unlink(missing_ok=True)
    finally:
        os.close(file)


def all_files() -> list[Path]:
    """The journals of this database on this disk, whoever holds them."""
    return sorted(home().glob(f"*{ENDING}"))


def _taken(path: Path) -> int | None:
    """The open file of a journal that is ours alone now, None when it has an owner or is gone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    if os.fstat(file).st_nlink:
        return file
    os.close(file)
    return None


def _read(path: Path) -> Found:
    lines = path.read_text("utf-8", "replace").split("\n")
    found = Found(path.stem, trusted=_boot() != "" and lines[0] == f"boot {_boot()}")
    for line in lines[1:-1]:  # the last line is empty, or was cut off
        kind, _, rest = line.partition(" ")
        number, _, more = rest.partition(" ")
        if not number.isdecimal():
            continue
        if kind == "dot":
            found.dotted.add(int(number))
        elif kind in set(Verdict):
            provider, _, words = more.partition(" ")
            told = "" if provider == "-" else provider
            found.results[int(number)] = Result(Verdict(kind), words, provider_id=told)
    return found


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""  # then nothing is believed but what stands there
