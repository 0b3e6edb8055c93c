"""All checks, one after another. What cannot be looked at is said; the others go on."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from django.db import Error as DatabaseTrouble

from campaign.checkup import backing, campaigns, deliveries, disk, relays
from campaign.checkup.findings import Finding, Severity, info, warning

Check = Callable[[], Iterable[Finding]]
ON_THIS_MACHINE: dict[str, Check] = {"relay": relays.reachable, "journal folder": disk.folder}
IN_THE_DATABASE: dict[str, Check] = {
    "clocks": backing.clocks,
    "rounds": backing.rounds,
    "leases": deliveries.leases,
    "journals": disk.abandoned,
    "mailers": relays.rests,
    "destinations": relays.destinations,
    "mails": deliveries.mails,
    "letters": deliveries.letters,
    "in doubt": deliveries.doubts,
    "held": deliveries.held,
    "campaigns": campaigns.moving,
    "brake": campaigns.braked,
    "canary": campaigns.canaries,
}


def examine() -> list[Finding]:
    """What all checks find. Nothing is changed and no mail is sent."""
    found = _ask("database", backing.database)
    if not _failed(found):
        found += _ask("migrations", backing.migrations)
    readable = not _failed(found)
    broker = _ask("broker", backing.broker)
    found += broker
    if _failed(broker):
        found.append(replace(info("not asked: the broker is away"), check="worker"))
    else:
        found += _ask("worker", backing.workers)
    for name, check in ON_THIS_MACHINE.items():
        found += _ask(name, check)
    if readable:
        found += _in_the_database()
    else:
        found.append(replace(info(f"not looked at: {', '.join(IN_THE_DATABASE)}"), check="ledger"))
    return found


def worst(found: Iterable[Finding]) -> Severity:
    """The worst of what was found."""
    return max((one.severity for one in found), default=Severity.OK)


def _in_the_database() -> list[Finding]:
    found: list[Finding] = []
    try:
        with backing.hurried():
            for name, check in IN_THE_DATABASE.items():
                found += _ask(name, check)
    except DatabaseTrouble as why:
        found.append(replace(_unseen(why), check="ledger"))
    return found


def _ask(name: str, check: Check) -> list[Finding]:
    try:
        found = list(check())
    except Exception as why:  # a check that breaks off is a finding itself, and the others go on
        found = [_unseen(why)]
    return [replace(one, check=name) for one in found]


def _unseen(why: Exception) -> Finding:
    what = f"could not be looked at: {type(why).__name__}: {why}"
    return warning(what, "look at the other lines first, then try again")


def _failed(found: Iterable[Finding]) -> bool:
    return worst(found) > Severity.INFO
