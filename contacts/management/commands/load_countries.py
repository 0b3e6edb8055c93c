from typing import Any

from django.core.management.base import BaseCommand

from contacts.loading import load_world


class Command(BaseCommand):
    help = "Loads States, their phrases and salutations; what somebody edited stays. May run again."

    def handle(self, *args: Any, **options: Any) -> None:
        done = load_world()
        self.stdout.write(f"created {done.created}, changed {done.changed}, kept as edited {done.kept}")
