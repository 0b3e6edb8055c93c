"""The course of a rehearsal: robots sign up, the campaign is launched, ministries answer, all is counted."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.error import URLError

from django.conf import settings
from django.db import close_old_connections
from django.urls import reverse

from campaign.rehearsal import supporters
from campaign.rehearsal.judging import Answered, Filed, Posted, Verdict, judge
from campaign.rehearsal.post_office import PostOffice
from campaign.rehearsal.seed import SLUG
from campaign.rehearsal.supporters import PEOPLE, Browser, Person
from letters import lifecycle
from letters.models import Campaign, Delivery, Filing, Incoming, Letter, Reading

MAIL_SECONDS = 60  # a confirmation mail takes as long at most
LOOK_EVERY = 0.5
STILL_SECONDS = 15.0  # nothing on its way and nothing new for so long: nothing will come any more


@dataclass(frozen=True)
class Count:
    """How far the rehearsal is."""

    signed: int
    confirmed: int
    out: int
    replies: dict[str, int]


class Play:
    """One rehearsal. `tell` is given a Count whenever something has changed."""

    def __init__(self, office: PostOffice, *, tell: Callable[[Count], None]) -> None:
        self.office = office
        self.tell = tell
        self.problems: list[str] = []
        self._launched = threading.Event()
        self._latest: Verdict | None = None
        self._since = 0.0

    def run(self, *, until: float) -> Verdict:
        """Plays it through; gives the verdict once all is settled, or at `until` (time.monotonic)."""
        wait_for_site(until)
        pool = ThreadPoolExecutor(len(PEOPLE), thread_name_prefix="supporter")
        try:
            going = {pool.submit(self._take_part, person): person for person in PEOPLE}
            early = [future for future, person in going.items() if not person.late]
            self._look_on(lambda: all(future.done() for future in early), until)
            lifecycle.launch(the_campaign(), by="the rehearsal")
            self._launched.set()
            self._look_on(lambda: all(future.done() for future in going), until)
            self.problems += [
                problem for future, person in going.items() if (problem := trouble(future, person))
            ]
            self._look_on(self._over, until)
        finally:
            self._launched.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return self.verdict()

    def verdict(self) -> Verdict:
        """How things stand by the database, held against what was rehearsed."""
        answered = [Answered(one.message_id, one.letter_id, one.answer) for one in list(self.office.sent)]
        found = judge(lifecycle.equation(the_campaign()).selected, posted(), filed(), answered)
        found.problems.extend(self.problems + self.office.problems)
        return found

    def _take_part(self, person: Person) -> None:
        """What one supporter does, in a thread of its own."""
        browser: Browser = supporters.sign(person, campaign_url=campaign_url(person.language))
        mail = self.office.wait_for(person.email, seconds=MAIL_SECONDS)
        if person.late:
            self._launched.wait()
        supporters.confirm(person, browser, text=mail.text)

    def _over(self) -> bool:
        """Whether all came out right, or nothing moves any more (a letter in doubt waits for a person)."""
        verdict = self.verdict()
        if verdict != self._latest:
            self._latest, self._since = verdict, time.monotonic()
        return verdict.good or (verdict.busy == 0 and time.monotonic() - self._since > STILL_SECONDS)

    def _look_on(self, done: Callable[[], bool], until: float) -> None:
        """Tells how far it is, until something is done or the time is over."""
        while not done() and time.monotonic() < until:
            self.tell(count())
            time.sleep(LOOK_EVERY)
        self.tell(count())


def wait_for_site(until: float) -> None:
    """Waits until the site answers. Raises WentWrong when it does not."""
    while True:
        try:
            if Browser().get(f"{settings.SITE_URL}/healthz").status == 200:
                return
        except URLError:
            pass  # not yet
        if time.monotonic() > until:
            raise supporters.WentWrong(f"{settings.SITE_URL} does not answer")
        time.sleep(0.1)


def trouble(future: Future[None], person: Person) -> str:
    """What kept a supporter from taking part, or nothing."""
    if not future.done():
        return f"{person.name} was not ready in time"
    error = future.exception()
    return f"{person.name}: {error}" if error else ""


def the_campaign() -> Campaign:
    """The rehearsal's campaign, as it is now."""
    return Campaign.objects.get(slug=SLUG)


def campaign_url(language: str = "en") -> str:
    """The address of the campaign's page."""
    return settings.SITE_URL + reverse("campaign", args=[SLUG]).replace("/en/", f"/{language}/", 1)


def count() -> Count:
    """How far the rehearsal is by the database."""
    close_old_connections()
    letters = Letter.objects.filter(campaign__slug=SLUG)
    out = Delivery.objects.filter(campaign__slug=SLUG, kind=Delivery.Kind.LETTER, state="accepted")
    kinds = list(Incoming.objects.exclude(kind="").values_list("kind", flat=True))
    return Count(
        signed=letters.count(),
        confirmed=letters.filter(state=Letter.State.CONFIRMED).count(),
        out=out.count(),
        replies={kind: kinds.count(kind) for kind in sorted(set(kinds))},
    )


def posted() -> list[Posted]:
    """The campaign's letters in the outbox."""
    rows = Delivery.objects.filter(campaign__slug=SLUG, kind=Delivery.Kind.LETTER)
    return [Posted(*row) for row in rows.values_list("message_id", "letter__country_id", "state")]


def filed() -> list[Filed]:
    """All mail that came in, with what it was read as and where it lies."""
    under: dict[int, dict[str, str]] = {}
    letters = dict(Delivery.objects.filter(kind=Delivery.Kind.LETTER).values_list("letter_id", "message_id"))
    for incoming, letter, method in Filing.objects.filter(undone_at=None).values_list(
        "incoming_id", "letter_id", "method"
    ):
        under.setdefault(incoming, {})[letters.get(letter, "")] = method
    ids = dict(Reading.objects.order_by("version").values_list("incoming_id", "fields__message_id"))
    rows = Incoming.objects.order_by("pk").values_list("pk", "kind")
    return [Filed(ids.get(pk, f"not read yet: {pk}"), kind, under.get(pk, {})) for pk, kind in rows]
