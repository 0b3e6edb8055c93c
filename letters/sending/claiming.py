"""Claims due deliveries for one worker, by the database's clock: whose turn it is, and how many may go.

Letters are chosen office by office: only offices whose time has come are looked at, so that a long queue
for one ministry holds up nobody, and a change of pace counts at once. Campaigns that write to the same
office take turns. The office's timetable is locked meanwhile, so that no other worker chooses from it; what
a supporter or a coordinator changes at this moment is seen when the rows become `submitting`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from contacts.addresses import domain_of
from contacts.models import Country
from letters.models import Campaign, Delivery, Destination, OfficePace, RelayPace
from letters.models.clock import database_time
from letters.querysets import DeliveryQuerySet
from letters.rules.pacing import Pace, interval, office_open
from letters.sending.transport import MAILER

OFFICES_AT_ONCE = 32
MOMENT = 1.0  # seconds after which a mail to a slowed domain is looked at again


@dataclass
class Destinations:
    """Domains with a limit or in trouble, as the table has them; those that may be written to, locked."""

    rows: dict[str, Destination] = field(default_factory=dict)
    mine: set[str] = field(default_factory=set)  # the others are another worker's at this moment
    gone: dict[str, int] = field(default_factory=dict)

    def room(self, domain: str, now: datetime) -> int | None:
        """How many may go to a domain now; None for no limit."""
        row = self.rows.get(domain)
        if row is None or not (gap := _gap(row)):
            return None
        if domain not in self.mine:
            return 0
        return max(0, Pace(row.next_at, gap).ready(now) - self.gone.get(domain, 0))

    def take(self, domain: str, count: int) -> None:
        """So many go to a domain."""
        if domain in self.rows and count:
            self.gone[domain] = self.gone.get(domain, 0) + count

    def save(self, now: datetime) -> None:
        """Writes down when the next ones may go."""
        for domain, count in self.gone.items():
            row = self.rows[domain]
            next_at = Pace(row.next_at, _gap(row)).after(now, count, random.random())  # noqa: S311  no secret
            Destination.objects.filter(pk=domain).update(next_at=next_at)


def destinations() -> Destinations:
    """The destinations that are not like all others. Needs a transaction."""
    rows = {row.domain: row for row in Destination.objects.all()}
    if not rows:
        return Destinations()
    mine = set(_locked(Destination.objects.filter(pk__in=rows)).values_list("pk", flat=True))
    return Destinations(rows, mine)


def relay_room(alias: str, wanted: int, now: datetime) -> int:
    """How many messages a mailer may be given now, noted in its timetable. Needs a transaction."""
    row, new = RelayPace.objects.get_or_create(name=alias)
    if new:
        return wanted
    if row.rest_until > now:
        return 0
    if row.per_hour is None:
        return wanted
    locked = _locked(RelayPace.objects.filter(pk=alias)).first()
    return min(wanted, Pace(locked.next_at, interval(row.per_hour)).ready(now)) if locked else 0


def relay_used(alias: str, count: int, now: datetime) -> None:
    """Notes in a mailer's timetable that so many went."""
    row = RelayPace.objects.get(pk=alias)
    if row.per_hour is not None and count:
        row.next_at = Pace(row.next_at, interval(row.per_hour)).after(now, count)
        row.save(update_fields=["next_at"])


def left(alias: str) -> bool:
    """Whether something is due for a mailer, be it in another worker's hands at this moment."""
    if _due_mails(alias).exists():
        return True
    if MAILER[Delivery.Kind.LETTER] != alias:
        return False
    running = list(Campaign.objects.filter(sending=Campaign.Sending.RUNNING))
    return _ready(running, _working_countries(database_time().replace(second=0, microsecond=0))).exists()


def mails(alias: str, limit: int, now: datetime, domains: Destinations) -> list[int]:
    """The numbers of due mails that are not letters, by lane and age; slowed domains' ones wait a little."""
    rows = _due_mails(alias).order_by("lane", "due_at", "pk").locked()
    found = []
    for number, recipient in list(rows.values_list("pk", "recipient")[:limit]):
        domain = domain_of(recipient)
        room = domains.room(domain, now)
        if room == 0:
            next_at = max(domains.rows[domain].next_at, now)
            Delivery.objects.filter(pk=number).update(due_at=next_at + timedelta(seconds=MOMENT))
            continue
        domains.take(domain, 1)
        found.append(number)
    return found


def letters(limit: int, now: datetime, domains: Destinations) -> list[int]:
    """The numbers of letters that may go now to offices; notes when each office's next one may."""
    running = {row.pk: row for row in Campaign.objects.filter(sending=Campaign.Sending.RUNNING)}
    working = _working_countries(now.replace(second=0, microsecond=0))
    offices = _chosen(_ready(list(running.values()), working), limit)
    share = max(1, -(-limit // 8))  # no batch is for one office alone
    found: list[int] = []
    for office in offices:
        domain = domain_of(office.email)
        room, known = min(share, limit - len(found)), domains.room(domain, now)
        if known == 0:  # slowed: others first, and this one when its domain may be written to
            next_at = max(domains.rows[domain].next_at, now + timedelta(seconds=MOMENT))
            OfficePace.objects.filter(pk=office.number).update(next_at=next_at)
            continue
        room = room if known is None else min(room, known)
        here = [row for row in running.values() if not row.office_hours or office.country in working]
        mine = _of_office(office, here, room, now)
        domains.take(domain, len(mine))
        found += mine
        if len(found) >= limit:
            break
    return found


@dataclass(frozen=True, slots=True)
class _Office:
    number: int
    next_at: datetime
    last_campaign: int | None
    per_hour: int | None
    email: str
    country: str


def _due_mails(alias: str) -> DeliveryQuerySet:
    kinds = [kind for kind, mailer in MAILER.items() if mailer == alias and kind != Delivery.Kind.LETTER]
    rows: DeliveryQuerySet = Delivery.objects.due().filter(kind__in=kinds)
    return rows


def _ready(campaigns: list[Campaign], working: frozenset[str]) -> QuerySet[OfficePace]:
    """Timetables of offices that have letters, and whose time has come."""
    due = Delivery.objects.due().letters().filter(office=OuterRef("pk"))
    always = [row.pk for row in campaigns if not row.office_hours]
    by_day = [row.pk for row in campaigns if row.office_hours]
    wanted = Q(Exists(due.filter(campaign__in=always))) if always else Q()
    if by_day:
        wanted |= Q(Exists(due.filter(campaign__in=by_day)), office__country__in=working)
    rows = OfficePace.objects.filter(wanted, next_at__lte=Now())
    return rows if wanted else rows.none()


def _chosen(rows: QuerySet[OfficePace], limit: int) -> list[_Office]:
    """The longest-waiting offices, locked for this claim alone."""
    rows = _locked(rows.order_by("next_at", "pk"))
    columns = ("pk", "next_at", "last_campaign", "office__per_hour", "office__email", "office__country")
    return [_Office(*row) for row in rows.values_list(*columns)[: min(limit, OFFICES_AT_ONCE)]]


def _of_office(office: _Office, campaigns: list[Campaign], room: int, now: datetime) -> list[int]:
    """Letters to one office: campaigns take turns, at the slowest pace that any of them asks for."""
    due = {row.pk: _due(office, row.pk) for row in campaigns}
    waiting = [row for row in campaigns if len(campaigns) == 1 or due[row.pk].exists()]
    if not waiting or not room:
        return []
    gap = interval(office.per_hour or min(row.per_office_hour for row in waiting))
    pace = Pace(office.next_at, gap)
    room = min(room, pace.ready(now))
    found: list[int] = []
    last = office.last_campaign
    for left, row in _in_turn(waiting, last):
        mine = list(due[row.pk].values_list("pk", flat=True)[: -(-(room - len(found)) // left)])
        found += mine
        last = row.pk if mine else last
        if len(found) >= room:
            break
    if found:
        next_at = pace.after(now, len(found), random.random())  # noqa: S311  spreads load, no secret
        OfficePace.objects.filter(pk=office.number).update(next_at=next_at, last_campaign=last)
    return found


def _due(office: _Office, campaign: int) -> DeliveryQuerySet:
    rows: DeliveryQuerySet = Delivery.objects.due().letters().filter(campaign=campaign, office=office.number)
    return rows.order_by("due_at", "pk")


def _in_turn(campaigns: list[Campaign], last: int | None) -> Iterator[tuple[int, Campaign]]:
    """(how many are left, campaign), beginning after the one that was served last."""
    after = sorted(campaigns, key=lambda row: (row.pk <= (last or 0), row.pk))
    for place, row in enumerate(after):
        yield len(after) - place, row


@lru_cache(maxsize=2)
def _working_countries(minute: datetime) -> frozenset[str]:
    """Codes of the States whose ministries work in this minute."""
    rows = Country.objects.values_list("code", "capital_tz", "weekend")
    return frozenset(code for code, zone, weekend in rows if _works(minute, zone, weekend))


def _works(minute: datetime, zone: str, weekend: str) -> bool:
    try:
        return office_open(minute, zone=zone, weekend=weekend)
    except (ValueError, OSError, KeyError):  # a zone that this machine does not know: no reason not to write
        return office_open(minute, zone="UTC", weekend=weekend)


def _gap(row: Destination) -> float:
    return max(row.gap, interval(row.per_hour) if row.per_hour else 0.0)


def _locked(rows: Any) -> Any:
    """Locks rows, passing over those that another worker holds; SQLite has no row locks and needs none."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",))
    return rows
