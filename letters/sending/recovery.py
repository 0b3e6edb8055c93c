"""Rows of workers that went silent: settled by their journals, else uncertain; never resent on a guess."""

import logging

from django.db import InterfaceError, OperationalError, transaction

from letters.models import Delivery, DeliveryEvent
from letters.querysets import in_seconds
from letters.rules import ledger
from letters.rules.ledger import State
from letters.sending import journal, recording, shifts
from letters.sending.jobs import Result, Try, Verdict
from letters.sending.journal import Found

log = logging.getLogger(__name__)
DATABASE_AWAY = (OperationalError, InterfaceError)
SILENT = "its worker went silent while sending"
WAIT_DAYS = 3  # after which a doubt that a person put off is shown again


class Unsettled(Exception):
    """What a journal says could not be written into the ledger: the file stays."""


def recover() -> tuple[int, int]:
    """Settles what dead workers left; returns (given back, uncertain). May run at any time, anywhere.

    A journal on this disk tells letter by letter what can have left. Without one, all that a worker was
    submitting when its lease ran out may have: where a bounce or an answer came in meanwhile it did; the
    others become uncertain, and only where the campaign's rule says so are they sent again.
    """
    back = doubts = 0
    for path in journal.all_files():
        try:
            with journal.abandoned(path) as found:
                settled = _by_journal(found) if found is not None else (0, 0)
        except DATABASE_AWAY:
            raise
        except Exception:  # one file that cannot be read or settled keeps nobody from the others
            log.exception("the journal %s could not be settled", path.name)
        else:
            back, doubts = back + settled[0], doubts + settled[1]
    return back, doubts + _by_lease()


def settle(delivery: Delivery, target: State | None, *, by: str) -> bool:
    """A person settles an uncertain delivery: ACCEPTED (it went), FAILED (it did not), WAITING (send again).

    None puts the decision off for some days. False when it was settled meanwhile. Raises TransitionError
    for any other state.
    """
    if target is not None:
        ledger.check(State.UNCERTAIN, target)
    with transaction.atomic():
        locked = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
        if locked.state != State.UNCERTAIN:
            return False
        mine = Delivery.objects.filter(pk=locked.pk)
        if target is None:
            mine.update(due_at=in_seconds(WAIT_DAYS * 86_400))
        else:
            mine.to(target, reason=f"settled by {by}"[:300], due_at=in_seconds(0))
        what = f"{target or 'wait'} by {by}"
        DeliveryEvent.objects.create(delivery=locked, what="settled", detail=what[:500], source="person")
    return True


def _by_journal(found: Found) -> tuple[int, int]:
    shifts.vacate(found.name)
    # What was taken is taken, whatever was believed meanwhile and whoever has it now.
    taken = [(number, result) for number, result in found.results.items() if result.verdict is Verdict.TAKEN]
    unheard = recording.record_each(
        found.name, [(Try(number, 1, None, "", None), result) for number, result in taken]
    )
    rows = Delivery.objects.filter(claimed_by=found.name, state__in=[State.SUBMITTING, State.UNCERTAIN])
    tried: list[tuple[Try, Result]] = []
    columns = ("pk", "attempts", "first_tried_at", "campaign_id", "state", "recipient")
    for number, attempts, first, campaign, state, recipient in rows.values_list(*columns):
        domain = recipient.rpartition("@")[2].lower()
        result = _told(found, number, doubted=state == State.UNCERTAIN)
        if result is not None:
            tried.append((Try(number, attempts, first, domain, campaign), result))
    if unheard + recording.record_each(found.name, tried):
        raise Unsettled(f"{unheard} that were taken, among others, could not be recorded")
    numbers = {
        verdict: [one.number for one, result in tried if result.verdict is verdict] for verdict in Verdict
    }
    doubts = Delivery.objects.filter(pk__in=numbers[Verdict.DOUBT]).exclude(state=State.ACCEPTED)
    return len(numbers[Verdict.UNTOUCHED]), doubts.count()


def _told(found: Found, number: int, *, doubted: bool) -> Result | None:
    """What a journal says of one delivery; None where it adds nothing."""
    if number in found.results:
        return found.results[number]
    if number in found.dotted or not found.trusted:
        return None if doubted else Result(Verdict.DOUBT, SILENT)
    return Result(Verdict.UNTOUCHED, "its worker went silent before sending")


def _by_lease() -> int:
    with transaction.atomic():
        rows = list(Delivery.objects.abandoned().locked().values_list("pk", "claimed_by"))
        return sum(
            recording.doubtful(name, {number: SILENT for number, other in rows if other == name})
            for name in {name for _, name in rows}
        )
