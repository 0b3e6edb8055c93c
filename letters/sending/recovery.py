"""Rows of workers that went silent: returned, or marked uncertain; never sent again when we cannot know."""

from django.db import transaction

from letters.models import Campaign, Delivery, DeliveryEvent
from letters.querysets import in_seconds
from letters.rules import ledger
from letters.rules.ledger import Outcome, State
from letters.sending.recording import move


def recover() -> tuple[int, int]:
    """Settles expired leases; returns (given back, uncertain). May run at any time, anywhere.

    Claimed rows had not left: they wait again. Rows being submitted may have left: where a bounce or an
    answer came in meanwhile, they did; the others become uncertain, and only where the campaign's rule
    says so are they sent again.
    """
    with transaction.atomic():
        stale = Delivery.objects.abandoned().locked()
        rows = list(stale.values_list("pk", "state", "outcome", "campaign__doubt"))
        back = [pk for pk, state, _, _ in rows if state == State.CLAIMED]
        left = [(pk, outcome, doubt) for pk, state, outcome, doubt in rows if state == State.SUBMITTING]
        known = [pk for pk, outcome, _ in left if outcome > Outcome.NONE]
        doubtful = [pk for pk, outcome, _ in left if outcome == Outcome.NONE]
        resend = [pk for pk, _, doubt in left if pk in doubtful and doubt == Campaign.Doubt.RESEND]
        move(known, State.ACCEPTED, reason="its worker went silent, but news of it came in")
        move(back, State.WAITING, reason="its worker went silent before sending", claimed_by="")
        move(doubtful, State.UNCERTAIN, reason="its worker went silent while sending")
        _note(doubtful, "uncertain", "the worker's lease ran out while it was sending")
        if resend:
            move(
                resend,
                State.WAITING,
                reason="in doubt, sent again as the campaign says",
                due_at=in_seconds(0),
            )
            _note(resend, "resent", "the campaign's rule for letters in doubt is to send again")
    return len(back), len(doubtful)


def settle(delivery: Delivery, target: State, *, by: str) -> bool:
    """A person settles an uncertain delivery: ACCEPTED (it went), FAILED (it did not), WAITING (send again).

    False when it was settled meanwhile. Raises TransitionError for any other state.
    """
    ledger.check(State.UNCERTAIN, target)
    with transaction.atomic():
        locked = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
        if locked.state != State.UNCERTAIN:
            return False
        move([locked.pk], target, reason=f"settled by {by}", due_at=in_seconds(0))
        DeliveryEvent.objects.create(
            delivery=locked, what="settled", detail=f"{target} by {by}", source="person"
        )
    return True


def _note(numbers: list[int], what: str, detail: str) -> None:
    DeliveryEvent.objects.bulk_create(
        DeliveryEvent(delivery_id=pk, what=what, detail=detail, source="recovery") for pk in numbers
    )
