"""What the demo's database starts with: the world, two campaigns, some offices, a coordinator."""

from datetime import date, timedelta

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from campaign.rehearsal.ministries import MINISTRIES, address_of
from contacts.loading import load_world
from contacts.models import Office
from letters.loading import DATA, approve, load_campaign
from letters.models import Campaign

ORIGINAL = DATA / "un2020"
SLUG = "rehearsal"
COORDINATOR = "coordinator"
ACTORS = ("author", "second reader")  # who approve the rehearsal's texts: as rehearsal, not as people
OPEN_DAYS = 30
PER_OFFICE_HOUR = 3600  # one a second: a rehearsal has no day to spread letters over


def sow(*, password: str) -> None:
    """Makes the database and fills it; `password` becomes the coordinator's. May run again."""
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        load_world()
        sow_campaigns(timezone.now().date())
        sow_offices(timezone.now().date())
        sow_coordinator(password)


def sow_campaigns(today: date) -> Campaign:
    """The campaign as it was, closed, and its copy for the rehearsal, open from today; returns the copy."""
    original = load_campaign(ORIGINAL)
    copy = load_campaign(
        ORIGINAL, slug=SLUG, opens_on=today, closes_on=today + timedelta(days=OPEN_DAYS), rehearsal=True
    )
    for text in [*original.texts.all(), *copy.texts.all()]:
        for actor in ACTORS:
            approve(text, rehearsal=actor)
    copy.signup = Campaign.Signup.OPEN
    copy.per_office_hour, copy.office_hours = PER_OFFICE_HOUR, False  # its ministries never sleep
    copy.save(update_fields=["signup", "per_office_hour", "office_hours"])
    return copy


def sow_offices(today: date) -> None:
    """Addresses of the ministries that play; all others stay without one, so letters to them are held."""
    for office in Office.objects.ministries().filter(country__in=MINISTRIES):
        office.email = address_of(office.country_id)
        office.source_url = f"https://www.{office.email.partition('@')[2]}/contact"
        office.checked_on = today
        office.full_clean()
        office.save(update_fields=["email", "source_url", "checked_on"])


def sow_coordinator(password: str) -> None:
    """The one account of the demo, allowed everything."""
    accounts = get_user_model().objects
    if not accounts.filter(username=COORDINATOR).exists():
        accounts.create_superuser(COORDINATOR, f"{COORDINATOR}@demarche.example", password)
