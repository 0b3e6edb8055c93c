"""Builders with defaults: what a story needs, in a line."""

import copy
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from unittest import mock

from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.utils import timezone

from contacts.loading import load_world
from contacts.models import Country, CountryPhrases, Office, SalutationForm
from letters import composing, signup
from letters.forms import STARTED
from letters.loading import DATA, load_campaign
from letters.models import Campaign, Delivery, Letter, Text, TextApproval
from letters.rules.ledger import State
from letters.sending import preparing, writing
from letters.sending.jobs import Job

_numbers = itertools.count(1)


def world() -> None:
    """The States, their phrases and salutations."""
    if not Country.objects.exists():
        load_world()


def campaign(
    slug: str = "peace", *, opened: bool = True, approved: bool = True, **changes: object
) -> Campaign:
    """The shipped campaign under another key, open for a month, its texts approved."""
    world()
    today = timezone.now().date()
    row = Campaign.objects.filter(slug=slug).first() or load_campaign(
        DATA / "un2020", slug=slug, opens_on=today, closes_on=today + timedelta(days=30), rehearsal=True
    )
    if approved:
        drafts = list(row.texts.filter(state=Text.State.DRAFT))
        for actor in ("first", "second"):
            TextApproval.objects.bulk_create(TextApproval(text=text, rehearsal=actor) for text in drafts)
        row.texts.filter(pk__in=[text.pk for text in drafts]).update(state=Text.State.APPROVED)
    else:
        row.texts.update(state=Text.State.DRAFT)
        TextApproval.objects.filter(text__campaign=row).delete()
    row.signup = Campaign.Signup.OPEN if opened else Campaign.Signup.CLOSED
    row.per_office_hour, row.office_hours = 100_000, False
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


def office(country: str = "FR", *, address: str | None = "default") -> Office:
    """The ministry of a State, with an address unless told otherwise."""
    world()
    row = Office.objects.ministries().select_related("country").get(country=country)
    if address:
        row.email = f"cabinet@mfa.{country.lower()}.example" if address == "default" else address
        row.source_url, row.checked_on = "https://www.mfa.example/contact", date(2026, 1, 1)
        row.save()
    return row


def signer(**changes: object) -> signup.Signer:
    """Somebody new who signs."""
    number = next(_numbers)
    values = {
        "name": f"Amélie Dupont {number}",
        "email": f"amelie{number}@people.example",
        "reading_language": "fr",
        "consent_wording": "J'accepte.",
    }
    return signup.Signer(**(values | changes))


def unconfirmed(
    row: Campaign,
    *,
    country: str = "FR",
    asks: tuple[str, ...] = ("speeches",),
    own_words: str = "",
    **changes: object,
) -> Letter:
    """A letter that waits for confirmation."""
    ministry = Office.objects.ministries().select_related("country").get(country=country)
    letter = signup.sign(row, ministry, list(asks), own_words=own_words, signer=signer(**changes))
    assert letter is not None
    return letter


def confirmed(row: Campaign, **changes: object) -> Letter:
    """A letter that its sender confirmed."""
    return signup.confirm(unconfirmed(row, **changes).pk)


def delivery_of(letter: Letter) -> Delivery:
    """The letter's own delivery (not its confirmation)."""
    return Delivery.objects.get(letter=letter, kind=Delivery.Kind.LETTER)


_known: list[list[Any]] = []  # the world as first loaded by this test process: copying it is 20 × faster


def known_world() -> None:
    """The same as `world`, in a tenth of a second after the first time."""
    models = (Country, Office, CountryPhrases, SalutationForm)
    if not _known:
        world()
        _known.extend(list(model.objects.order_by("pk")) for model in models)
    if Country.objects.exists():
        return
    for model, rows in zip(models, _known, strict=True):
        copies = [copy.copy(row) for row in rows]
        for row in copies:
            row.pk = row.pk if model is Country else None  # numbers come from this database
        model.objects.bulk_create(copies)


def open_campaign(slug: str = "peace", **changes: Any) -> Campaign:
    """The same as `campaign`, its texts approved all at once."""
    known_world()
    row = campaign(slug, approved=False, **changes)
    approve_all(row)
    return row


def approve_all(row: Campaign) -> None:
    """Approves every text of a campaign, as two people did."""
    texts = list(row.texts.all())
    TextApproval.objects.bulk_create(
        TextApproval(text=text, rehearsal=actor) for text in texts for actor in ("first", "second")
    )
    row.texts.update(state=Text.State.APPROVED)


def form_data(**changes: Any) -> dict[str, Any]:
    """What a browser posts from the page on which a letter is written, a minute after it was opened."""
    number = next(_numbers)
    with mock.patch("django.core.signing.time.time", return_value=time.time() - 60):
        started = STARTED.sign("form")
    values = {
        "country": "FR",
        "asks": ["speeches"],
        "own_words": "",
        "name": f"Chidi Okafor {number}",
        "email": f"chidi{number}@people.example",
        "agree": "on",
        "started": started,
        "action": "sign",
    }
    return values | changes


def sent(letter: Letter) -> Delivery:
    """The letter's delivery as a worker leaves it after the relay took it: form kept, accepted."""
    delivery = delivery_of(letter)
    delivery.form = composing.keep(composing.form_of(letter, today=timezone.now().date()))
    delivery.state = State.ACCEPTED
    delivery.submitted_at = delivery.finished_at = timezone.now()
    delivery.save()
    return delivery


def force(rows: Any, state: State, **values: Any) -> None:
    """Puts deliveries into a state past the ledger's table: stories may begin in the middle."""
    QuerySet.update(rows, state=state, **values)


def claimed(name: str, alias: str, limit: int) -> list[Job]:
    """The jobs that a worker of that name claims for a mailer."""
    found = preparing.claim(name, alias, limit)
    return [job for jobs in preparing.write(found) for job in jobs]


def written(delivery: Delivery) -> bytes:
    """The bytes of a delivery's message, read from the tables as a worker does."""
    return writing.write(Delivery.objects.select_related(*preparing.RELATED, "form").get(pk=delivery.pk))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Calls functions in threads of their own at the same moment; what each returned or raised.

    Needs a test with `transaction=True`. SQLite's database in memory refuses where one in a file waits:
    that refusal comes before anything was done, so the call is made again.
    """
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            while True:
                try:
                    return call()
                except OperationalError as error:
                    if "is locked" not in str(error):
                        return error
                    time.sleep(0.01)
                except Exception as error:
                    return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))
