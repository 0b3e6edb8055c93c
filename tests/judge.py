"""Compares what arrived at the relay with what the ledger believes."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from letters.rules.ledger import MAY_HAVE_LEFT, State
from tests.relay import Relay
from tests.relay_syntax import message_id


def judge(relay: Relay, ledger: Mapping[str, str]) -> dict[str, list[str]]:
    """Message-IDs by verdict; `ledger` gives the state of each. All lists but `doubtful` should be empty.

    lost: the ledger says accepted, and it never came. repeated: came more than once, whoever got it.
    strangers: came, and nobody wrote it ("" for a message without an ID). bodies: came with different
    contents. unreported: came, and the ledger says that it has not left. doubtful: the ledger is unsure.
    """
    contents: dict[str, set[bytes]] = defaultdict(set)
    times: Counter[str] = Counter()
    for _, message in list(relay.accepted):
        name = message_id(message)
        times[name] += 1
        contents[name].add(message)
    return {
        "lost": [name for name, state in ledger.items() if state == State.ACCEPTED and name not in times],
        "repeated": [name for name, count in times.items() if count > 1],
        "strangers": [name for name in times if name not in ledger],
        "bodies": [name for name, different in contents.items() if len(different) > 1],
        "unreported": [name for name in times if name in ledger and ledger[name] not in MAY_HAVE_LEFT],
        "doubtful": [name for name, state in ledger.items() if state == State.UNCERTAIN],
    }
