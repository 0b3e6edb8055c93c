"""The journals of this machine's workers, and the disk that they are on."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from campaign.checkup.findings import MINUTE, Finding, error, warning, well
from letters.sending import journal

FREE = 100_000_000  # octets


def folder() -> Iterator[Finding]:
    """Whether a worker here could keep a journal. Asks for the folder's name: needs no database."""
    home = journal.home()
    place = next(one for one in (home, *home.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as why:
        yield error(
            f"{home} cannot be written: {why}; after a crash whole batches would be in doubt",
            f"give the workers' user the right to write to {place}, or set JOURNAL_DIR",
        )
        return
    free = shutil.disk_usage(place).free
    if free < FREE:
        yield warning(
            f"{free // 1_000_000} MB are free for {home}; where the journal cannot be written nothing leaves",
            "make room, or set JOURNAL_DIR to a disk with more",
        )
    else:
        yield well(f"{home} can be written")


def abandoned() -> Iterator[Finding]:
    """Journals whose worker is dead, and which no other has read within a minute."""
    old = [path for path in journal.all_files() if _age(path) > MINUTE and not _held(path)]
    if old:
        yield warning(
            f"journals of dead workers that nobody reads in {journal.home()}: {len(old)}",
            "a worker on this machine reads them within ten seconds: celery -A campaign worker",
        )
    else:
        yield well("none is left over")


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0  # it is gone: somebody read it


def _held(path: Path) -> bool:
    """Whether somebody holds it: its owner, or who reads it. Looked at with a lock that is let go at once."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
