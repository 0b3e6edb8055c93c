"""Whether the relays answer, as far as the moment before the first message; none is sent."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings
from django.core.mail import InvalidMailer, mailers

from campaign.checkup.backing import SECONDS
from campaign.checkup.findings import Finding, error, info, moment, page, warning, well
from letters.models import Destination, RelayPace
from letters.models.clock import database_time
from letters.rules.pacing import SLOWEST
from letters.sending.jobs import Job, Result
from letters.sending.opening import CannotOpen, Relay, open_line
from letters.sending.providers import is_provider
from letters.sending.rewind import UNTIL_RELEASED
from letters.sending.smtp import Line, Stage
from letters.sending.transport import ALIASES, relay_of

VARIABLE = {"default": "MAIL_URL", "supporters": "SUPPORTERS_MAIL_URL", "letters": "LETTERS_MAIL_URL"}
CARRIES = {"default": "mail to staff", "supporters": "mail to supporters", "letters": "letters"}
MEND = {
    Stage.CONNECT: "start the relay, open the firewall, or correct host, port and kind of TLS in {variable}",
    Stage.HELLO: "correct the kind of TLS in {variable}, or SITE_URL, whose host is what we say we are",
    Stage.AUTH: "correct user and password in {variable}",
}


def reachable() -> Iterator[Finding]:
    """Connects to the relay of every mailer, up to AUTH."""
    relays: dict[str, Relay] = {}
    for alias, config in mailers.settings.items():
        backend = config.get("BACKEND", "")
        if is_provider(alias):
            yield info(f"{_named(alias)}: by {backend}, which is not checked here")
            continue
        try:
            relays[alias] = relay_of(alias)
        except InvalidMailer as why:
            yield error(f"{_named(alias)}: {why}", f"correct {_variable(alias)}")
            continue
        if backend.endswith(".LoopbackBackend"):
            yield info(f"{_named(alias)}: to this machine only", f"set {_variable(alias)} for real mail")
    answers = probe(set(relays.values()))
    for alias, relay in relays.items():
        yield _judged(alias, relay, answers[relay])


def probe(relays: set[Relay]) -> dict[Relay, frozenset[str] | CannotOpen]:
    """What each relay offers, or why no line could be opened; all are asked at once."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_probed(list(relays)))
    finally:
        loop.close()  # which does not wait for a look-up of a name that hangs


def rests() -> Iterator[Finding]:
    """What the workers say of their relays, and whether what they may be given fits."""
    now = database_time()
    for row in RelayPace.objects.filter(name__in=ALIASES):
        if row.rest_until >= UNTIL_RELEASED:
            yield error(
                f"{_named(row.name)}: held until a person releases it. {row.trouble}",
                f"manage.py reconcile --help says how; the relays are in {page('relaypace')}",
            )
        elif row.rest_until > now:
            yield warning(
                f"{_named(row.name)}: the workers let the relay rest until {moment(row.rest_until)}:"
                f" {row.trouble}",
                f"mend what it says; it is tried again by itself, or at once by {page('relaypace')}",
            )
        elif row.trouble:
            yield info(f"{_named(row.name)}: the last trouble, at {moment(row.rest_until)}: {row.trouble}")
        if row.connections < settings.SEND_PLACES:
            yield warning(
                f"{_named(row.name)}: {row.connections} connections for SEND_PLACES={settings.SEND_PLACES};"
                " each place opens one at least",
                f"set SEND_PLACES={row.connections}, or allow more connections in {page('relaypace')}",
            )
        if row.per_hour:
            yield info(
                f"{_named(row.name)}: at most {row.per_hour:,} an hour are sent",
                f"change it in {page('relaypace')}",
            )


def destinations() -> Iterator[Finding]:
    """Domains that asked us to slow down."""
    slowed = list(Destination.objects.filter(gap__gt=0).order_by("-gap"))
    for row in slowed[:5]:
        what = f"{row.domain} gets a message every {row.gap:.0f} s: {row.why}"
        if row.gap < SLOWEST:
            yield info(what)
        else:
            yield warning(what, f"ask its postmaster, or see {page('destination')}")
    if len(slowed) > 5:
        yield info(f"more domains that are slowed: {len(slowed) - 5}", page("destination"))
    elif not slowed:
        yield well("no domain is slowed")


class _Nobody:
    """A desk without mail."""

    def next(self) -> Job | None:
        return None

    def before_dot(self, job: Job) -> bool:
        return False

    def done(self, job: Job, result: Result) -> None:
        raise AssertionError("there was no job")

    def gone(self, line: Line, why: str) -> None:
        return


async def _probed(relays: list[Relay]) -> dict[Relay, frozenset[str] | CannotOpen]:
    return dict(zip(relays, await asyncio.gather(*map(_offered, relays)), strict=True))


async def _offered(relay: Relay) -> frozenset[str] | CannotOpen:
    try:
        line = await open_line(replace(relay, timeout=min(SECONDS, relay.timeout)), _Nobody())
    except CannotOpen as why:
        return why
    line.close()
    await asyncio.sleep(0.05)  # for the QUIT
    return frozenset(line.extensions)


def _judged(alias: str, relay: Relay, answer: frozenset[str] | CannotOpen) -> Finding:
    where = f"{_named(alias)}: {relay.host}:{relay.port}"
    if isinstance(answer, CannotOpen):
        mend = MEND.get(answer.stage, MEND[Stage.CONNECT]).format(variable=_variable(alias))
        find = error if alias in ALIASES else warning
        return find(f"{where} cannot be used: {answer}", mend)
    secure = "with TLS" if relay.use_tls or relay.use_ssl else "without TLS"
    signed = ", signed in" if relay.username else ""
    if "PIPELINING" not in answer:
        return info(f"{where} answers {secure}{signed}; it offers no PIPELINING and will be slow")
    return well(f"{where} answers {secure}{signed}")


def _named(alias: str) -> str:
    return CARRIES.get(alias, alias)


def _variable(alias: str) -> str:
    return VARIABLE.get(alias, "MAILERS")
