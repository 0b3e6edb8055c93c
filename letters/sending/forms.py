"""The forms of a batch's letters, made once for all that share one, and kept for a minute."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db import DatabaseError

from letters import composing
from letters.models import Form, Letter
from letters.rules.composing import Plan
from letters.rules.composing import load as load_form
from letters.sending.facts import LetterFacts

KEPT_SECONDS = 60.0  # after which a new holder or phrase is seen
KEPT_FORMS = 3000

Key = tuple[int, int, int, int | None, date]


@dataclass(slots=True)
class Filled:
    """A stored form, its plan, and which version of each ask it holds."""

    number: int
    plan: Plan
    asks: dict[str, int]
    until: float


_by_office: dict[Key, list[Filled]] = {}
_by_number: dict[int, Plan] = {}


def plans(rows: Iterable[LetterFacts], *, today: date) -> tuple[dict[int, Plan], dict[int, Exception]]:
    """{delivery: plan} with each row's `form` set, and {delivery: why} for those that cannot be composed."""
    found: dict[int, Plan] = {}
    impossible: dict[int, Exception] = {}
    rows = list(rows)
    _load({row.form for row in rows if row.form is not None} - _by_number.keys())
    for row in rows:
        if row.form is not None:
            found[row.number] = _by_number[row.form]
    for row in rows:
        if row.form is None:
            try:
                filled = _filled(row, today)
            except DatabaseError:
                raise
            except Exception as error:  # whatever is wrong with this letter, it alone fails and says so
                impossible[row.number] = error
            else:
                row.form, found[row.number] = filled.number, filled.plan
    return found, impossible


def _filled(row: LetterFacts, today: date) -> Filled:
    key = (row.campaign, row.office, row.text, row.footer, today)
    known, now = _by_office.setdefault(key, []), time.monotonic()
    known[:] = [one for one in known if one.until > now]
    for one in known:
        if row.asks.items() <= one.asks.items():
            return one
    related = ("campaign", "office__country", "text", "footer", "country")
    letter = Letter.objects.select_related(*related).get(pk=row.letter)
    form, asks = composing.form_of_many(letter, today=today)
    filled = Filled(composing.keep(form).pk, Plan(form), asks, now + KEPT_SECONDS)
    if len(_by_number) > KEPT_FORMS:
        _by_office.clear()
        _by_number.clear()
        known = _by_office.setdefault(key, [])
    known.append(filled)
    _by_number[filled.number] = filled.plan
    return filled


def _load(numbers: set[int]) -> None:
    for form in Form.objects.filter(pk__in=numbers):
        _by_number[form.pk] = Plan(load_form(form.data))


def forget() -> None:
    """Forgets all forms, as a new process would."""
    _by_office.clear()
    _by_number.clear()
