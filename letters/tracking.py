"""News of a delivery after it left: outcomes move forward by rank, doubts are settled."""

from letters.models import Delivery, DeliveryEvent, Incoming
from letters.rules.ledger import Outcome, State
from letters.rules.reading import Kind
from letters.sending.recording import move, one_line

OUTCOME = {
    Kind.BOUNCE_HARD: Outcome.BOUNCED_HARD,
    Kind.BOUNCE_SOFT: Outcome.BOUNCED_SOFT,
    Kind.AUTO_REPLY: Outcome.ACKNOWLEDGED,
    Kind.HUMAN_REPLY: Outcome.REPLIED,
    Kind.COMPLAINT: Outcome.COMPLAINED,
}


def heard(delivery: Delivery, kind: Kind, *, incoming: Incoming, detail: str) -> None:
    """A message about a delivery, or answering it, came in. May be told twice, in any order."""
    outcome = OUTCOME.get(kind)
    if outcome is None:
        return
    _, new = DeliveryEvent.objects.get_or_create(
        event_id=f"incoming:{incoming.pk}:{delivery.pk}:{kind}",
        defaults={
            "delivery": delivery,
            "what": kind.value,
            "detail": one_line(detail, 500),
            "source": "inbound",
        },
    )
    if not new:
        return
    # An answer or a bounce proves that the message left: the doubt is over.
    move(
        Delivery.objects.filter(pk=delivery.pk, state=State.UNCERTAIN).values_list("pk", flat=True),
        State.ACCEPTED,
        reason=f"settled: {kind} came in",
    )
    Delivery.objects.filter(pk=delivery.pk, outcome__lt=outcome).update(outcome=outcome)
