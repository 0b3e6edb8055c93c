"""Notices that the database is older than what was done from here: a backup was restored.

Every round is counted in the database, and the count noted on this machine's disk as soon as it is committed.
A database that counts less than this machine remembers has forgotten letters that left. Then both relays
rest until a person lets them go, best after `reconciling`. What a machine without a note, or a backup of the
very last round, cannot tell: those who restore it must.
"""

import logging
import os
import secrets
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from letters.models import Delivery, Odometer, RelayPace
from letters.sending import journal
from letters.sending.transport import ALIASES

log = logging.getLogger(__name__)
ONE = 1  # the number of the only row
ENDING = ".rounds"
UNTIL_RELEASED = datetime(9999, 1, 1, tzinfo=UTC)
TROUBLE = (
    "The database is older than what was sent from here: was a backup restored? Nothing is sent, so that"
    " nobody gets a letter twice. Compare with the relay's log: manage.py reconcile mail.log. Then release:"
    " manage.py reconcile --release, or “Try again now” for both relays in the admin"
)


def noticed() -> bool:
    """Counts a round that is about to begin. True: it must not, and both relays are held from now on.

    A folder that cannot be written to remembers nothing, and stops nothing.
    """
    with transaction.atomic():
        # The row is locked now: no higher number is committed, hence none noted, before we are done.
        identity, rounds = _counted()
        known = _remembered(identity)
        rewound = known >= rounds or (rounds == 1 and not known and _letters_before_the_first_round())
        if rewound:
            rounds = max(known, rounds)  # told once: nobody remembers more than this, on any machine
            Odometer.objects.filter(pk=ONE).update(rounds=rounds)
            _hold()
        transaction.on_commit(partial(_remember, identity, rounds))
    if rewound:
        log.error(TROUBLE)
    return rewound


def release() -> int:
    """A person lets the relays go again; returns how many were held. Another rest stays as it is."""
    return RelayPace.objects.filter(rest_until__gte=UNTIL_RELEASED).update(rest_until=Now(), trouble="")


def _counted() -> tuple[str, int]:
    """The database's identity, and the number of this round in it. Needs a transaction."""
    row = Odometer.objects.filter(pk=ONE)
    if not row.update(rounds=F("rounds") + 1):
        new = Odometer(pk=ONE, identity=secrets.token_hex(8))
        Odometer.objects.bulk_create([new], ignore_conflicts=True)
        row.update(rounds=F("rounds") + 1)
    return row.values_list("identity", "rounds").get()


def _remembered(identity: str) -> int:
    """The highest number that this machine has noted of a database, 0 for none.

    A restored one may have another address: then what was noted under the old one counts.
    """
    name = f"{identity}{ENDING}"
    if mine := _number(journal.home() / name):
        return mine
    return max(map(_number, Path(settings.JOURNAL_DIR).glob(f"*/{name}")), default=0)


def _letters_before_the_first_round() -> bool:
    """Whether this address had a database that counted rounds when deliveries of this one were there."""
    oldest = Delivery.objects.order_by("pk").values_list("created_at", flat=True).first()
    return oldest is not None and any(_noted_at(path) > oldest for path in journal.home().glob(f"*{ENDING}"))


def _noted_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.min.replace(tzinfo=UTC)


def _number(path: Path) -> int:
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdecimal() else 0


def _remember(identity: str, rounds: int) -> None:
    """Notes a number that is committed. Of two at once the lower may stay: that is made good by the next."""
    path = journal.home() / f"{identity}{ENDING}"
    if _number(path) >= rounds:
        return
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="ascii") as file:
            file.write(str(rounds))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        log.warning("rounds are not noted (%s): a restored backup would not be noticed", error)
        _forget(fresh)


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder that could not be written to


def _hold() -> None:
    RelayPace.objects.bulk_create([RelayPace(name=alias) for alias in ALIASES], ignore_conflicts=True)
    RelayPace.objects.filter(name__in=ALIASES).update(rest_until=UNTIL_RELEASED, trouble=TROUBLE)
