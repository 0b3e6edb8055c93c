"""Campaigns that stand still, or wait for a person."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max
from django.urls import reverse

from campaign.checkup.findings import DAY, HOUR, Finding, info, lasting, moment, warning, well
from letters import outbox
from letters.models import Brake, Campaign, Delivery, Wave
from letters.models.clock import database_time
from letters.rules.ledger import State

Sending = Campaign.Sending
# A weekend and two holidays, where letters go in office hours.
QUIET, QUIET_IN_OFFICE_HOURS = DAY, 4 * DAY


def moving() -> Iterator[Finding]:
    """Whether something moves in every campaign that runs."""
    now = database_time()
    running = list(Campaign.objects.filter(sending=Sending.RUNNING))
    for campaign in running:
        yield _moving(campaign, now)
    if not running:
        yield info("none is running")


def braked() -> Iterator[Finding]:
    """Campaigns that paused themselves, and that nobody has resumed or cancelled."""
    fine = True
    for campaign in Campaign.objects.filter(sending=Sending.PAUSED):
        brake = Brake.objects.filter(campaign=campaign).order_by("-pk").first()
        if brake and (campaign.trusted_since is None or brake.at > campaign.trusted_since):
            fine = False
            yield warning(
                f"{campaign.slug} paused itself at {moment(brake.at)}: {brake.get_cause_display()} of"
                f" {brake.found} in {brake.looked_at} letters",
                f"read why, mend it, then resume: {_page(campaign)}",
            )
    if fine:
        yield well("no campaign has paused itself")


def canaries() -> Iterator[Finding]:
    """Large waves of which a few letters went first."""
    now = database_time()
    waves = outbox.canary_waves().filter(campaign__sending=Sending.RUNNING).select_related("campaign")
    for wave in waves:
        what = (
            f"{wave}: {wave.canary:,} of {wave.selected:,} letters went first, the others wait for a person"
        )
        waited = (now - wave.launched_at).total_seconds()
        if waited > HOUR:
            yield warning(f"{what}, for {lasting(waited)} now", f"go on, or cancel: {_page(wave.campaign)}")
        else:
            yield info(what, _page(wave.campaign))
    if not waves:
        yield well("no wave waits for a person")


def _moving(campaign: Campaign, now: datetime) -> Finding:
    letters = Delivery.objects.letters().filter(campaign=campaign)
    if not _any(campaign, State.WAITING, State.DEFERRED, State.SUBMITTING):
        if _any(campaign, State.HELD, State.UNCERTAIN):
            return warning(
                f"{campaign.slug} runs, but all its open letters are held or in doubt",
                f"see the lines about these, or {_page(campaign)}",
            )
        return info(f"{campaign.slug} runs, and none of its letters is open")
    accepted = letters.filter(state=State.ACCEPTED, finished_at__isnull=False).order_by("-finished_at")
    last = accepted.values_list("finished_at", flat=True).first()
    last = last or Wave.objects.filter(campaign=campaign).aggregate(last=Max("launched_at"))["last"]
    quiet = QUIET_IN_OFFICE_HOURS if campaign.office_hours else QUIET
    if last and now - last > timedelta(seconds=quiet):
        return warning(
            f"{campaign.slug} runs, but no letter was accepted since {moment(last)}",
            f"read the reasons of those that wait: {_page(campaign)}",
        )
    return well(f"{campaign.slug} moves")


def _any(campaign: Campaign, *states: State) -> bool:
    """By the index of a campaign's states."""
    return Delivery.objects.letters().filter(campaign=campaign, state__in=states).exists()


def _page(campaign: Campaign) -> str:
    return settings.SITE_URL + reverse("admin:letters_campaign_change", args=[campaign.pk])
