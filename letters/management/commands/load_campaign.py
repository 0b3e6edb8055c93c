from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from letters.loading import DATA, load_campaign


class Command(BaseCommand):
    help = "Loads a campaign that ships with Demarche, its texts as drafts; what exists stays. May run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="un2020", help="a folder below letters/data, or a path"
        )

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        folder = DATA / name if (DATA / name).is_dir() else Path(name)
        if not (folder / "campaign.toml").is_file():
            raise CommandError(f"{folder} has no campaign.toml.")
        campaign = load_campaign(folder)
        self.stdout.write(f"{campaign}: {campaign.texts.count()} texts, {campaign.asks.count()} asks")
