"""News of a delivery after it left: outcomes move forward by rank, doubts are settled."""

from enum import IntEnum

from letters.models import Delivery, DeliveryEvent, Incoming
from letters.rules.ledger import MAY_HAVE_LEFT, Outcome, State
from letters.rules.reading import Kind
from letters.sending.recording import one_line

OUTCOME = {
    Kind.BOUNCE_HARD: Outcome.BOUNCED_HARD,
    Kind.BOUNCE_SOFT: Outcome.BOUNCED_SOFT,
    Kind.AUTO_REPLY: Outcome.ACKNOWLEDGED,
    Kind.HUMAN_REPLY: Outcome.REPLIED,
    Kind.COMPLAINT: Outcome.COMPLAINED,
}


class Trust(IntEnum):
    """How much may be believed of what a message says about a delivery."""

    NONE = 0  # anybody can write that: a quoted reference
    ANSWER = 1  # its writer knows the reply address or our Message-ID: may have answered
    PROOF = 2  # it came to the signed bounce address, or from the office itself, or a person says so


def heard(delivery: Delivery, kind: Kind, trust: Trust, *, incoming: Incoming, detail: str) -> None:
    """A message about a delivery, or answering it, came in. May be told twice, in any order.

    Bounces and complaints count with proof only; answers change no letter that has not left, and settle a
    doubt with proof only.
    """
    outcome = OUTCOME.get(kind)
    needed = Trust.ANSWER if kind in {Kind.AUTO_REPLY, Kind.HUMAN_REPLY} else Trust.PROOF
    delivery.refresh_from_db(fields=["state"])
    if delivery.state in (State.SUBMITTING, State.UNCERTAIN):
        needed = Trust.PROOF
    if outcome is None or trust < needed or delivery.state not in MAY_HAVE_LEFT:
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
    doubted = Delivery.objects.filter(pk=delivery.pk, state=State.UNCERTAIN)
    doubted.to(State.ACCEPTED, reason=f"settled: {kind} came in")
    Delivery.objects.filter(pk=delivery.pk, outcome__lt=outcome).update(outcome=outcome)
