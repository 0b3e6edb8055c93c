"""What travels through the engine: a job (one message on its way) and its result."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from letters.sending.mime import Mail


class Verdict(StrEnum):
    """What became of one try."""

    TAKEN = "taken"  # the relay or provider said yes
    REFUSED = "refused"  # it said never, to this very message or recipient
    LATER = "later"  # it said not now, or could not be talked to
    DOUBT = "doubt"  # it may have taken it: its answer was lost
    UNTOUCHED = "untouched"  # it was never offered the message: no try


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one try. `wait` is in seconds, where the other side named a time."""

    verdict: Verdict
    words: str  # the other side's, or ours where it said nothing
    about_relay: bool = False  # not about this message: everything to this relay should slow down
    about_domain: bool = False  # the recipient's domain should be slowed down
    wait: float | None = None
    provider_id: str = ""


@dataclass(slots=True)
class Try:
    """One try at one delivery, as the ledger needs to know it."""

    number: int  # of the delivery
    attempts: int  # this one included
    first_tried_at: datetime | None
    domain: str  # of the recipient
    campaign: int | None


@dataclass(slots=True)
class Job(Try):
    """One claimed delivery, ready to leave: it is `submitting` in the ledger."""

    kind: str
    sender: str  # envelope sender, signed for this delivery
    recipient: str  # envelope recipient, its domain in ASCII
    mail: Mail | None  # None once it is written to the byte
    checked_at: float  # time.monotonic() of the last look for objections
    message: bytes = b""  # as it travels by SMTP; empty for providers
    offers: int = 0  # how often a line broke before it could be tried
