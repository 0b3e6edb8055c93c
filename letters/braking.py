"""The automatic brake: a campaign whose letters go wrong by the dozen pauses itself, and says why."""

import logging
from dataclasses import dataclass
from functools import partial
from itertools import batched

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage, mailers
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Q, Value
from django.template.loader import render_to_string
from django.urls import reverse

from letters import lifecycle
from letters.models import Brake, Campaign, Delivery
from letters.rules.ledger import Outcome, State

log = logging.getLogger(__name__)
WINDOW = 1000  # letters that are judged together
LOOK_BACK = 10 * WINDOW
BOUNCES_PER_MILLE, BOUNCES_OF_AT_LEAST = 100, 30
COMPLAINTS_PER_MILLE, COMPLAINTS_AT_LEAST = 5, 3
UNWRITTEN_PER_MILLE, UNWRITTEN_AT_LEAST = 100, 30
KEPT = 50  # deliveries that are named as evidence
BY = "the brake"
# Beginnings of reasons why a letter failed of which no relay said a word.
CANNOT_BE_WRITTEN, SETTLED = "cannot be written", "settled by "

Ended = tuple[int, str, int, bool]  # delivery, state, outcome, whether it could not be written


@dataclass(frozen=True)
class Evidence:
    """Why a campaign should stop: how many letters were looked at, and which of them went wrong."""

    cause: Brake.Cause
    looked_at: int
    found: list[int]


def watch() -> list[Brake]:
    """Looks at every running campaign and pauses those that should stop. May run at any time."""
    running = Campaign.objects.filter(sending=Campaign.Sending.RUNNING)
    return [brake for row in running if look(row) and (brake := _pull(row))]


def look(campaign: Campaign) -> Evidence | None:
    """Why a campaign should stop, None while it should not.

    Whether they can be written shows at once, in the last thousand that ended. Those that a relay took or
    refused are judged by the thousand, as far back as ten thousand: news comes late, and at thirty letters
    a second the bounce of two minutes ago is about one that left 3,600 letters before the last.
    What ended before a person resumed is not looked at: that person knew of it.
    """
    ended = _last_ended(campaign)
    if evidence := judge_writing(ended[:WINDOW]):
        return evidence
    tried = [row for row in ended if not row[3]]
    for number, together in enumerate(batched(tried, WINDOW)):
        if number and len(together) < WINDOW:
            break
        if evidence := judge(together):
            return evidence
    return None


def judge_writing(ended: list[Ended]) -> Evidence | None:
    """Whether of these too many (a tenth, and thirty) could not be written.

    One letter's own words may break it alone; thirty have something in common, a text or the program, and
    the rest of the wave would fail the same way, faster than any relay takes mail.
    """
    unwritten = [row[0] for row in ended if row[3]]
    enough = len(unwritten) >= UNWRITTEN_AT_LEAST
    if enough and len(unwritten) * 1000 >= UNWRITTEN_PER_MILLE * len(ended):
        return Evidence(Brake.Cause.UNWRITTEN, len(ended), unwritten)
    return None


def judge(tried: tuple[Ended, ...]) -> Evidence | None:
    """Whether of these too many bounced (a tenth) or were complained of (one in two hundred).

    Few letters prove little. With fewer than 30 one or two dead addresses would be a tenth; with 30 it takes
    three, which at an ordinary 2 % of bounces happens once in fifty times. Complaints are so rare that
    a share means nothing before there are three: one may be a slip of a finger, two a coincidence. That is
    more than the share asks for as long as fewer than 600 letters were looked at.
    """
    size = len(tried)
    complaints = [pk for pk, _, outcome, _ in tried if outcome == Outcome.COMPLAINED]
    if len(complaints) >= COMPLAINTS_AT_LEAST and len(complaints) * 1000 >= COMPLAINTS_PER_MILLE * size:
        return Evidence(Brake.Cause.COMPLAINTS, size, complaints)
    bounces = [pk for pk, state, outcome, _ in tried if state == State.FAILED or outcome in lifecycle.BOUNCED]
    if size >= BOUNCES_OF_AT_LEAST and len(bounces) * 1000 >= BOUNCES_PER_MILLE * size:
        return Evidence(Brake.Cause.BOUNCES, size, bounces)
    return None


def _last_ended(campaign: Campaign) -> list[Ended]:
    """The last letters that a relay took or refused, or that we could not write, newest first.

    Two walks along one index.
    """
    letters = Delivery.objects.letters().filter(campaign=campaign, finished_at__isnull=False)
    if campaign.trusted_since:
        letters = letters.filter(finished_at__gt=campaign.trusted_since)
    accepted = letters.filter(state=State.ACCEPTED).annotate(unwritten=Value(False))
    failed = letters.filter(state=State.FAILED).exclude(reason__startswith=SETTLED)
    failed = failed.annotate(unwritten=Q(reason__startswith=CANNOT_BE_WRITTEN))
    rows = []
    for some in (accepted, failed):
        columns = ("finished_at", "pk", "state", "outcome", "unwritten")
        rows += some.order_by("-finished_at").values_list(*columns)[:LOOK_BACK]
    rows.sort(reverse=True)
    return [row[1:] for row in rows[:LOOK_BACK]]


def _pull(campaign: Campaign) -> Brake | None:
    """Pauses a campaign on what is found once nobody else can change it; None when somebody was faster."""
    with transaction.atomic():
        try:
            lifecycle.pause(campaign, by=BY)
        except lifecycle.Refused:
            return None
        campaign.refresh_from_db()
        evidence = look(campaign)
        if evidence is None:
            transaction.set_rollback(True)
            return None
        brake = Brake.objects.create(
            campaign=campaign,
            cause=evidence.cause,
            looked_at=evidence.looked_at,
            found=len(evidence.found),
            deliveries=evidence.found[:KEPT],
        )
        transaction.on_commit(partial(_tell, brake))
    log.warning("campaign %s paused itself: %s", campaign.slug, brake)
    return brake


def _tell(brake: Brake) -> None:
    """Tells those who may send, each in a mail of their own. Mail that fails changes nothing."""
    here = settings.SITE_URL + reverse("admin:letters_campaign_change", args=[brake.campaign_id])
    words = {"brake": brake, "campaign_url": here}
    subject = render_to_string("emails/brake.subject.txt", words).strip()
    body = render_to_string("emails/brake.txt", words)
    headers = {"Auto-Submitted": "auto-generated"}
    try:
        with mailers["default"] as line:  # opened once: a server that hangs costs one timeout
            for user, address in _who_may_send():
                _send(line, EmailMessage(subject, body, to=[address], headers=headers), user)
    except Exception as error:  # whatever is wrong with the mail, the pause stands
        log.error("nobody was told of brake %s: %s", brake.pk, type(error).__name__)


def _send(line: BaseEmailBackend, mail: EmailMessage, user: int) -> None:
    try:
        line.send_messages([mail])
    except Exception as error:  # the others are told all the same; and no address goes into a log
        log.error("user %s was not told of a brake: %s", user, type(error).__name__)


def _who_may_send() -> list[tuple[int, str]]:
    """(user, address) of the active people who may launch and resume."""
    people = get_user_model().objects.with_perm(
        "letters.send_campaign", backend="django.contrib.auth.backends.ModelBackend"
    )
    return list(people.exclude(email="").order_by("pk").values_list("pk", "email"))
