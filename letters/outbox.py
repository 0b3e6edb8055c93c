"""Puts mail into the table that is the queue. Writes rows and returns: nothing is sent from here."""

import secrets
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now
from django.utils import timezone

from contacts.models import Supporter
from letters.models import Campaign, Delivery, Letter, OfficePace, Wave
from letters.querysets import in_seconds
from letters.rules.ledger import STOPPABLE, State

NO_ADDRESS = "no verified address"
BATCH = 2000
OVER = Q(send_by__lt=Now()) | Q(sending="cancelled")


def new_message_id() -> str:
    """A Message-ID (RFC 5322 §3.6.4), fixed when the row is made and reused on every try."""
    return f"<{secrets.token_hex(16)}@{settings.REPLY_DOMAIN}>"


def put(
    kind: Delivery.Kind, *, letter: Letter | None, recipient: str, supporter: Supporter | None = None
) -> Delivery:
    """One message to a supporter, to be sent as soon as a worker is free."""
    return Delivery.objects.create(
        kind=kind,
        lane=Delivery.LANES[kind],
        letter=letter,
        campaign=letter.campaign if letter else None,
        supporter=supporter,
        recipient=recipient,
        message_id=new_message_id(),
    )


def post(letter: Letter) -> Delivery | None:
    """Posts a confirmed letter into today's rolling wave; None when it is in the outbox already."""
    with transaction.atomic():
        campaign = Campaign.objects.select_for_update(no_key=True).get(pk=letter.campaign_id)
        unposted = Letter.objects.unposted().filter(pk=letter.pk).select_related("office__country").first()
        if unposted is None:
            return None
        wave = _rolling_wave(campaign)
        delivery = Delivery.objects.create(**_row(unposted, campaign, wave))
        _open_timetables([delivery])
        Wave.objects.filter(pk=wave.pk).update(selected=F("selected") + 1)
        return delivery


def post_all(campaign: Campaign, *, launched_by: str) -> Wave | None:
    """Freezes all confirmed letters that are not in the outbox yet into a new wave, all or nothing.

    The caller holds the campaign's row locked. None when there was no letter.
    """
    letters = Letter.objects.unposted().filter(campaign=campaign, round=campaign.round)
    ids = list(letters.order_by("pk").values_list("pk", flat=True))
    if not ids:
        return None
    wave = Wave.objects.create(
        campaign=campaign, number=_next_number(campaign), launched_by=launched_by, selected=len(ids)
    )
    for start in range(0, len(ids), BATCH):
        batch = Letter.objects.filter(pk__in=ids[start : start + BATCH]).select_related("office__country")
        _open_timetables(
            Delivery.objects.bulk_create(Delivery(**_row(letter, campaign, wave)) for letter in batch)
        )
    return wave


def post_stragglers() -> int:
    """Posts confirmed letters of running campaigns that are not in the outbox; returns how many.

    A letter confirmed while its campaign was being launched can be one. May run at any time.
    """
    missing = Letter.objects.unposted().filter(
        campaign__sending=Campaign.Sending.RUNNING, round=F("campaign__round")
    )
    return sum(post(letter) is not None for letter in missing.order_by("pk")[:BATCH])


def close_overdue() -> int:
    """Ends letters that will never leave: too late, or their campaign is cancelled. May run at any time."""
    done = 0
    for campaign, sending in Campaign.objects.filter(OVER).values_list("pk", "sending"):
        cancelled = sending == Campaign.Sending.CANCELLED
        rows = Delivery.objects.letters().filter(campaign=campaign, state__in=STOPPABLE - {State.CLAIMED})
        done += rows.update(
            state=State.CANCELLED if cancelled else State.EXPIRED,
            reason="the campaign was cancelled" if cancelled else "too late to send",
            finished_at=in_seconds(0),
        )
    return done


def release_held() -> int:
    """Lets go the letters that waited for their office's address; returns how many. May run at any time."""
    held = Delivery.objects.filter(state=State.HELD, reason=NO_ADDRESS, office__state="open")
    held = held.filter(office__country__enabled=True).exclude(office__email="")
    released = 0
    for office, email in held.order_by().values_list("office", "office__email").distinct():
        rows = Delivery.objects.filter(office=office, state=State.HELD, reason=NO_ADDRESS)
        released += rows.update(state=State.WAITING, reason="", recipient=email, due_at=in_seconds(0))
    return released


def _row(letter: Letter, campaign: Campaign, wave: Wave) -> dict[str, Any]:
    office = letter.office
    ready = office.sendable and office.country.enabled
    return {
        "kind": Delivery.Kind.LETTER,
        "lane": Delivery.LANES[Delivery.Kind.LETTER],
        "letter": letter,
        "campaign": campaign,
        "wave": wave,
        "office": office,
        "supporter_id": letter.supporter_id,
        "recipient": office.email if ready else "",
        "message_id": new_message_id(),
        "state": State.WAITING if ready else State.HELD,
        "reason": "" if ready else NO_ADDRESS,
    }


def _open_timetables(deliveries: list[Delivery]) -> None:
    """Every office that a letter goes to has a timetable, for `claiming` to go by."""
    offices = sorted({row.office_id for row in deliveries if row.office_id})
    OfficePace.objects.bulk_create((OfficePace(office_id=pk) for pk in offices), ignore_conflicts=True)


def _rolling_wave(campaign: Campaign) -> Wave:
    day = timezone.now().date()
    wave = Wave.objects.filter(campaign=campaign, day=day).first()
    return wave or Wave.objects.create(campaign=campaign, day=day, number=_next_number(campaign))


def _next_number(campaign: Campaign) -> int:
    return (Wave.objects.filter(campaign=campaign).aggregate(last=Max("number"))["last"] or 0) + 1
