import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import batched
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count

from letters.models import Campaign, Delivery
from letters.querysets import DeliveryQuerySet
from letters.rules import tokens
from letters.rules.ledger import Outcome, State
from letters.sending.writing import bounce_address

AT_ONCE = 2000  # rows fetched, and lines written, at a time
TIMES = {
    "created": "created_at", "due": "due_at", "first_tried": "first_tried_at", "submitted": "submitted_at",
    "finished": "finished_at",
}  # fmt: skip
COLUMNS = (
    "pk", "letter__reference", "letter__reply_token", "kind", "recipient", "message_id", "state", "outcome",
    "attempts", *TIMES.values(),
)  # fmt: skip
WORDS = {rank.value: rank.name.lower() for rank in Outcome}
CLOSED_PIPE = 141  # what a shell says of a program that wrote to one: 128 + SIGPIPE


class Command(BaseCommand):
    help = (
        "Tells the ledger: how many deliveries are in which state, or with --jsonl each of them, one JSON"
        " object a line, by number. Those lines hold PERSONAL DATA: the recipients of confirmations are"
        " supporters' addresses. Keep them as you keep the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--campaign", metavar="SLUG", help="only this campaign's deliveries")
        parser.add_argument("--jsonl", action="store_true", help="every delivery, with personal data")

    def handle(self, *args: Any, campaign: str | None, jsonl: bool, **options: Any) -> None:
        rows = Delivery.objects.all()
        if campaign is not None:
            rows = rows.filter(campaign=_known(campaign))
        try:
            for some in batched(lines(rows) if jsonl else sums(rows), AT_ONCE):
                self.stdout.write("\n".join(some))
            self.stdout.flush()
        except BrokenPipeError:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
            sys.exit(CLOSED_PIPE)


def lines(deliveries: DeliveryQuerySet) -> Iterator[str]:
    """Each delivery as one line of JSON, in ASCII: no letter of any script breaks a line."""
    rows = deliveries.order_by("pk").values_list(*COLUMNS)
    for row in rows.iterator(chunk_size=AT_ONCE):
        yield json.dumps(_told(*row))


def sums(deliveries: DeliveryQuerySet) -> Iterator[str]:
    """A table: how many of each campaign and kind are in each state."""
    order = list(State)
    counted = deliveries.order_by().values_list("campaign__slug", "kind", "state").annotate(Count("pk"))
    rows = sorted(((slug or "-", *row) for slug, *row in counted), key=lambda r: (*r[:2], order.index(r[2])))
    total = ("total", "", "", sum(row[-1] for row in rows))
    yield from _table([("campaign", "kind", "state", "deliveries"), *rows, total])


def _told(
    number: int, reference: str | None, token: str | None, kind: str, recipient: str, *more: Any
) -> dict[str, Any]:
    message_id, state, outcome, tries, *times = more
    answered = token if kind == Delivery.Kind.LETTER else None  # mail to supporters has no Reply-To
    return {
        "letter": reference,
        "kind": kind,
        "recipient": recipient,
        "message_id": message_id,
        "state": state,
        "outcome": WORDS[outcome],
        "reply_to": tokens.reply_address(answered, settings.REPLY_DOMAIN) if answered else None,
        "bounce": bounce_address(number),
        "tries": tries,
        "times": dict(zip(TIMES, map(_time, times), strict=True)),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment else None


def _known(slug: str) -> Campaign:
    """The campaign with this key. Raises CommandError, naming those there are."""
    found = Campaign.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Campaign.objects.order_by("slug").values_list("slug", flat=True)) or "none"
        raise CommandError(f"No campaign {slug!r}. Known: {known}.")
    return found


def _table(rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for *words, number in cells:
        yield "  ".join([*map(str.ljust, words, widths), number.rjust(widths[-1])])
