"""How fast letters go: timetables of offices, destination domains and relays. They survive restarts."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.models import Office
from letters.models.campaign import Campaign

AT_MOST_AN_HOUR = [MinValueValidator(1), MaxValueValidator(10_000_000)]
CONNECTIONS = [MinValueValidator(1), MaxValueValidator(200)]


class OfficePace(models.Model):
    """When the next letter may go to an office; locked while a batch is claimed."""

    office = models.OneToOneField(Office, models.CASCADE, primary_key=True, related_name="+")
    next_at = models.DateTimeField(db_default=Now())
    # Whose turn it was last: campaigns that write to the same office take turns.
    last_campaign = models.ForeignKey(
        Campaign, models.SET_NULL, null=True, related_name="+", db_index=False, editable=False
    )

    def __str__(self) -> str:
        return str(self.office_id)


class Destination(models.Model):
    """A domain that is written to with a limit of its own, or that asked us to slow down."""

    domain = models.CharField(_("domain"), max_length=254, primary_key=True)
    per_hour = models.PositiveIntegerField(
        _("messages an hour"), null=True, blank=True, validators=AT_MOST_AN_HOUR,
        help_text=_("at most; empty: no limit"),
    )  # fmt: skip
    connections = models.PositiveIntegerField(
        _("messages at a time"), null=True, blank=True, validators=CONNECTIONS,
        help_text=_("at most, for each worker; empty: a quarter of the relay's connections"),
    )  # fmt: skip
    gap = models.FloatField(_("seconds between two, for now"), default=0.0, editable=False)
    next_at = models.DateTimeField(_("next at"), db_default=Now(), editable=False)
    why = models.CharField(_("why slowed"), max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["domain"]
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")

    def __str__(self) -> str:
        return self.domain


class RelayPace(models.Model):
    """What one mailer of the settings may be given: connections, messages an hour, and its rests."""

    name = models.CharField(_("mailer"), max_length=40, primary_key=True, editable=False)
    connections = models.PositiveIntegerField(
        _("connections"), default=8, validators=CONNECTIONS, help_text=_("of all workers together")
    )
    per_hour = models.PositiveIntegerField(
        _("messages an hour"), null=True, blank=True, validators=AT_MOST_AN_HOUR,
        help_text=_("at most; empty: as fast as it takes them"),
    )  # fmt: skip
    next_at = models.DateTimeField(_("next at"), db_default=Now(), editable=False)
    rest_until = models.DateTimeField(_("rests until"), db_default=Now(), editable=False)
    trouble = models.CharField(_("trouble"), max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = _("relay")
        verbose_name_plural = _("relays")

    def __str__(self) -> str:
        return self.name
