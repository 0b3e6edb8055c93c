"""Rows of the ledger that wait for too long, or for a person. Each is found by an index, none by counting."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, Subquery

from campaign.checkup.findings import (
    CAP,
    HOUR,
    MINUTE,
    Finding,
    error,
    info,
    lasting,
    many,
    moment,
    page,
    warning,
    well,
)  # fmt: skip
from letters import outbox
from letters.models import Campaign, Delivery, OfficePace, RelayPace
from letters.models.clock import database_time
from letters.querysets import DeliveryQuerySet
from letters.rules.ledger import State
from letters.rules.pacing import OFFICE_HOURS, office_open
from letters.sending.transport import MAILER

LATE, VERY_LATE = 5 * MINUTE, HOUR
WORK = "see the other lines: worker, beat, relay; where these are well, allow more connections or SEND_PLACES"
ADDRESSES = "enter addresses, or manage.py import_offices offices.csv"


def mails() -> Iterator[Finding]:
    """Mail to supporters that has been due for too long."""
    now, paced, oldest = database_time(), _paced(), 0.0
    for kind, lane in Delivery.LANES.items():
        if kind == Delivery.Kind.LETTER:
            continue
        due = Delivery.objects.due().exclude(kind=Delivery.Kind.LETTER).filter(kind=kind, lane=lane)
        first = due.order_by("due_at").values_list("due_at", flat=True).first()
        late = (now - first).total_seconds() if first else 0.0
        oldest = max(oldest, late)
        if late > LATE:
            yield _late(
                f"the oldest {kind.label} has been due for {lasting(late)}", late, paced.get(MAILER[kind])
            )
    if oldest <= LATE:
        yield well(f"the oldest that is due has waited for {lasting(oldest)}" if oldest else "none is due")


def letters() -> Iterator[Finding]:
    """Letters that could have gone: to offices that are at work, if that is asked for, and not paced now."""
    now, paced, fine = database_time(), _paced().get("letters"), True
    for campaign in Campaign.objects.filter(sending=Campaign.Sending.RUNNING):
        late = sorted(_offices(campaign, now), reverse=True)
        if late:
            fine = False
            names = ", ".join(country for _, country in late[:5])
            what = f"{campaign.slug}: offices that could have got a letter: {len(late)}"
            most = f"for up to {lasting(late[0][0])} ({names}{' …' if len(late) > 5 else ''})"
            yield _late(f"{what}, {most}", late[0][0], paced)
    if fine:
        yield well("none is late (offices that are closed, or whose pace says later, are not)")


def doubts() -> Iterator[Finding]:
    """Deliveries of which nobody can know whether they left."""
    now = database_time()
    rows = list(_in_doubt())
    open_ = [submitted for due, submitted in rows if due <= now]
    if open_:
        oldest = min((one for one in open_ if one), default=None)
        since = f", the oldest of {moment(oldest)}" if oldest else ""
        yield warning(
            f"deliveries in doubt: {many(len(open_))}{since}",
            f"look for their Message-ID in the relay's log and settle them: {page('delivery', '?doubt=now')}",
        )
    if later := len(rows) - len(open_):
        yield info(f"doubts put off by a person: {many(later)}", page("delivery", "?doubt=later"))
    if not rows:
        yield well("none is in doubt")


def held() -> Iterator[Finding]:
    """Letters that wait for something other than their turn, by what they wait for."""
    rows = Delivery.objects.filter(state=State.HELD).order_by().values_list("reason", flat=True)[:CAP]
    reasons = Counter(rows)
    for reason, count in reasons.most_common(10):
        mend = ADDRESSES if reason == outbox.NO_ADDRESS else page("delivery", "?state__exact=held")
        yield info(f"held for “{reason or 'no reason given'}”: {many(count)}", mend)
    if not reasons:
        yield well("none is held")


def leases() -> Iterator[Finding]:
    """Deliveries of workers that went silent, which nobody has looked after."""
    before = database_time() - timedelta(seconds=MINUTE)
    count = Delivery.objects.abandoned().filter(lease_until__lt=before).order_by()[:CAP].count()
    if count:
        yield error(
            f"deliveries of silent workers that nobody settled: {many(count)}",
            "a worker does so every ten seconds: celery -A campaign worker, celery -A campaign beat",
        )
    else:
        yield well("no worker has left anything behind")


def opened_at(now: datetime, *, zone: str, weekend: str) -> datetime | None:
    """When a ministry that is at work began its day; None for one that is not at work."""
    try:
        there = now.astimezone(ZoneInfo(zone))
    except (ValueError, OSError, KeyError):  # as in `claiming`
        zone, there = "UTC", now
    if not office_open(now, zone=zone, weekend=weekend):
        return None
    return there.replace(hour=OFFICE_HOURS.start, minute=0, second=0, microsecond=0)


def _offices(campaign: Campaign, now: datetime) -> Iterator[tuple[float, str]]:
    """(seconds late, country) of offices that a letter of this campaign could have gone to."""
    due = Delivery.objects.due().letters().filter(campaign=campaign, office=OuterRef("pk")).order_by("due_at")
    rows = OfficePace.objects.filter(next_at__lt=now - timedelta(seconds=LATE))
    rows = rows.annotate(oldest=Subquery(due.values("due_at")[:1]))
    columns = (
        "office__country",
        "office__country__capital_tz",
        "office__country__weekend",
        "next_at",
        "oldest",
    )
    for country, zone, weekend, next_at, oldest in rows.values_list(*columns):
        opened = opened_at(now, zone=zone, weekend=weekend) if campaign.office_hours else next_at
        if oldest is None or opened is None:
            continue
        late = (now - max(oldest, next_at, opened)).total_seconds()
        if late > LATE:
            yield late, country


def _late(what: str, seconds: float, paced: int | None) -> Finding:
    if paced:
        return info(f"{what}; its mailer is given {paced:,} an hour", f"change it in {page('relaypace')}")
    return error(what, WORK) if seconds > VERY_LATE else warning(what, WORK)


def _paced() -> dict[str, int]:
    """{mailer: messages an hour} of those that are given no more at this moment."""
    since = database_time() - timedelta(seconds=MINUTE)
    rows = RelayPace.objects.exclude(per_hour=None).filter(next_at__gt=since)
    return {row.name: row.per_hour for row in rows if row.per_hour}


def _in_doubt() -> Iterable[tuple[datetime, datetime | None]]:
    """(due, submitted) by the index of campaigns, kinds and states."""
    rows: DeliveryQuerySet = Delivery.objects.filter(state=State.UNCERTAIN, kind__in=Delivery.Kind.values)
    campaigns = list(Campaign.objects.values_list("pk", flat=True))
    for some in (rows.filter(campaign__in=campaigns), rows.filter(campaign=None)):
        yield from some.order_by().values_list("due_at", "submitted_at")[:CAP]
