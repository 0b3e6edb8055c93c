"""What the commands that switch a campaign's sending have in common."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from letters import lifecycle
from letters.models import Campaign


class CampaignCommand(BaseCommand):
    """Calls one verb of the lifecycle for the campaign named on the command line."""

    act = ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the campaign's key")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        campaign = Campaign.objects.filter(slug=slug).first()
        if campaign is None:
            known = ", ".join(Campaign.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"No campaign {slug!r}. Known: {known}.")
        try:
            lifecycle.act(campaign, self.act, by=getpass.getuser())
        except lifecycle.Refused as why:
            raise CommandError(str(why)) from None
        campaign.refresh_from_db()
        sums = lifecycle.equation(campaign)
        self.stdout.write(
            f"{slug}: {campaign.sending}; selected {sums.selected}, open {sums.open}, ended {sums.final}"
        )
