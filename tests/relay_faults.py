"""How a relay misbehaves, written down: single faults, greylisting, limits."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

STAGES = frozenset(
    {"tls", "connect", "hello", "auth", "mail", "rcpt", "data", "dot", "after", "taken"}
)  # "after": taken, but the 250 is replaced or lost; "taken": the 250 was sent before


@dataclass
class Fault:
    """What the relay does at one stage: answer a line, hang, or drop; for some recipients, some times.

    An answer of 421 ends the connection; another one, a wrong 250 included, is said in place of the
    usual one and has its effect. Without an answer the connection is dropped after `hang` seconds.
    """

    stage: str  # one of STAGES
    answer: str = ""  # "451 4.7.1 later"; "" with hang or drop
    hang: float = 0.0  # seconds of silence, then the connection is dropped
    recipient: str = ""  # only for recipients with this in their address
    times: int = 1_000_000
    share: float = 1.0  # strikes so often out of 1; the relay's seed decides when
    reset: bool = False  # dropped by a TCP reset, not by an ordinary end

    def __post_init__(self) -> None:
        assert self.stage in STAGES, f"no stage {self.stage!r}"


@dataclass
class Greylist:
    """Refuses a sender's domain and a recipient until `window` seconds after they were first seen."""

    window: float
    recipient: str = ""  # only recipients with this in their address
    _first_seen: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)

    def objection(self, sender: str, recipient: str) -> str:
        """What is said to this RCPT now; "" when it may pass."""
        if self.recipient not in recipient:
            return ""
        pair = (sender.rpartition("@")[2].lower(), recipient.lower())
        now = time.monotonic()
        left = self._first_seen.setdefault(pair, now) + self.window - now
        return f"451 4.7.1 greylisted for another {left:.2f} s" if left > 0 else ""


@dataclass
class Limits:
    """How much the relay puts up with; 0: any number. Who goes beyond hears 421 and is hung up on."""

    per_second: int = 0  # messages in any second, over all connections; told at MAIL
    per_connection: int = 0  # messages; told right after the last one's 250, unasked
    max_connections: int = 0  # open at once; told in place of the banner
    max_errors: int = 0  # 4xx and 5xx answers since a message was taken (Postfix: 20)
    _recent: deque[float] = field(default_factory=deque, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def too_fast(self) -> str:
        """The objection to one more message now; "" counts it as one."""
        if not self.per_second:
            return ""
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            if len(self._recent) >= self.per_second:
                return "421 4.7.0 too many messages a second"
            self._recent.append(now)
        return ""

    def too_many(self, connections: int) -> str:
        """The objection to so many open connections."""
        return _objection(self.max_connections, connections, "too many connections")

    def enough(self, messages: int) -> str:
        """The objection to any more after so many messages on one connection."""
        return _objection(self.per_connection, messages + 1, "enough for one connection")

    def too_wrong(self, errors: int) -> str:
        """The objection to so many errors in a row."""
        return _objection(self.max_errors, errors + 1, "too many errors")


def _objection(limit: int, count: int, why: str) -> str:
    return f"421 4.7.0 {why}" if limit and count > limit else ""
