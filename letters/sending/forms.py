"""The forms of a batch's letters, made once for all that share one, and kept for some minutes."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db import DatabaseError

from letters import composing
from letters.memory import remembering
from letters.models import Form, Letter
from letters.rules import composing as rules
from letters.sending.facts import LetterFacts

KEPT_SECONDS = 300.0  # after which a new holder or phrase is seen
KEPT_FORMS = 3000

RELATED = ("campaign", "office__country", "text", "footer", "country")
Key = tuple[int, int, int, int | None, date]


@dataclass(slots=True)
class Filled:
    """A stored form, its plan, and which version of each ask it holds."""

    number: int
    plan: rules.Plan
    asks: dict[str, int]
    until: float


_by_office: dict[Key, list[Filled]] = {}
_by_number: dict[int, rules.Plan] = {}


def plans(rows: Iterable[LetterFacts], *, today: date) -> tuple[dict[int, rules.Plan], dict[int, Exception]]:
    """{delivery: plan} with each row's `form` set, and {delivery: why} for those that cannot be composed."""
    found: dict[int, rules.Plan] = {}
    rows = list(rows)
    _load({row.form for row in rows if row.form is not None} - _by_number.keys())
    for row in rows:
        if row.form is not None:
            found[row.number] = _by_number[row.form]
    new = [row for row in rows if row.form is None]
    impossible = _fill(new, today)
    for row in new:
        if row.number not in impossible and (filled := _known(row, today)):
            row.form, found[row.number] = filled.number, filled.plan
    return found, impossible


def _fill(rows: list[LetterFacts], today: date) -> dict[int, Exception]:
    """Makes the forms that are missing for some letters; {delivery: why} where there is none.

    One for each office at a time: mostly it holds what the office's other letters ask for too.
    """
    impossible: dict[int, Exception] = {}
    while missing := [row for row in rows if row.number not in impossible and _known(row, today) is None]:
        first = {_key(row, today): row for row in reversed(missing)}
        letters = Letter.objects.select_related(*RELATED).in_bulk([row.letter for row in first.values()])
        made: list[tuple[Key, rules.Form, dict[str, int]]] = []
        with remembering():
            for key, row in first.items():
                try:
                    form, asks = composing.form_of_many(letters[row.letter], today=today)
                except DatabaseError:
                    raise
                except Exception as error:  # whatever is wrong with these letters, they alone fail and say so
                    impossible |= {other.number: error for other in missing if _same(row, other, today)}
                else:
                    made.append((key, form, asks))
        _keep(made)
    return impossible


def _keep(made: list[tuple[Key, rules.Form, dict[str, int]]]) -> None:
    now = time.monotonic()
    if len(_by_number) > KEPT_FORMS:
        forget()
    for key, known in list(_by_office.items()):
        known[:] = [one for one in known if one.until > now]
        if not known:
            del _by_office[key]
    kept = composing.keep_all([form for _, form, _ in made])
    for (key, form, asks), stored in zip(made, kept, strict=True):
        plan = _by_number.setdefault(stored.pk, rules.Plan(form))
        _by_office.setdefault(key, []).append(Filled(stored.pk, plan, asks, now + KEPT_SECONDS))


def _known(row: LetterFacts, today: date) -> Filled | None:
    """The form that holds this letter's asks, if it was made and is not too old."""
    now = time.monotonic()
    for one in _by_office.get(_key(row, today), ()):
        if one.until > now and row.asks.items() <= one.asks.items():
            return one
    return None


def _key(row: LetterFacts, today: date) -> Key:
    return row.campaign, row.office, row.text, row.footer, today


def _same(row: LetterFacts, other: LetterFacts, today: date) -> bool:
    return _key(row, today) == _key(other, today) and row.asks == other.asks


def _load(numbers: set[int]) -> None:
    for form in Form.objects.filter(pk__in=numbers):
        _by_number[form.pk] = rules.Plan(rules.load(form.data))


def forget() -> None:
    """Forgets all forms, as a new process would."""
    _by_office.clear()
    _by_number.clear()
