"""Fills the database that the environment names: `python -m tests.bench.fill LETTERS CONNECTIONS [DSN]`."""

import json
import sys
import time

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from letters import lifecycle  # noqa: E402
from letters.models import RelayPace, Wave  # noqa: E402
from tests.bench import corpus  # noqa: E402


def main() -> None:
    count, connections, lab = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""
    call_command("migrate", verbosity=0)
    campaign = corpus.fill(None if lab else corpus.unique(count), lab=lab)
    RelayPace.objects.update_or_create(name="letters", defaults={"connections": connections})
    begun = time.perf_counter()
    lifecycle.launch(campaign, by="bench")
    frozen = time.perf_counter() - begun
    if Wave.objects.filter(campaign=campaign, canary__gt=0).exists():
        lifecycle.go_on(campaign, by="bench")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(json.dumps({"frozen_in_s": frozen}))


if __name__ == "__main__":
    main()
