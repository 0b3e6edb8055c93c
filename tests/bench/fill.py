"""Fills the database that the environment names: `python -m tests.bench.fill LETTERS [DSN]`."""

import json
import sys
import time

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from letters import lifecycle  # noqa: E402
from letters.models import Delivery  # noqa: E402
from letters.rules.ledger import State  # noqa: E402
from tests.bench import corpus  # noqa: E402


def main() -> None:
    count, lab = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    call_command("migrate", verbosity=0)
    campaign = corpus.fill(None if lab else corpus.unique(count), lab=lab)
    begun = time.perf_counter()
    lifecycle.launch(campaign, by="bench")
    frozen = time.perf_counter() - begun
    Delivery.objects.filter(state=State.HELD).exclude(recipient="").to(State.WAITING, reason="")
    print(json.dumps({"frozen_in_s": frozen}))


if __name__ == "__main__":
    main()
