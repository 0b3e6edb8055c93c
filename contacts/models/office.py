"""Offices that letters go to, and who holds them."""

from datetime import date, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.addresses import AddressError, address_key, normalise
from contacts.models.country import Country, Gender
from contacts.querysets import OfficeQuerySet

NAME_WARN_DAYS = 90  # after this a holder's name is shown as stale
NAME_STOP_DAYS = 180  # after this it is used no more


class Office(models.Model):
    """A ministry or mission: the letter goes to it, whoever holds it today."""

    class Kind(models.TextChoices):
        MINISTRY = "ministry", _("ministry of foreign affairs")
        MISSION_NEW_YORK = "mission_ny", _("permanent mission in New York")
        MISSION_GENEVA = "mission_geneva", _("permanent mission in Geneva")
        MISSION_VIENNA = "mission_vienna", _("permanent mission in Vienna")
        EMBASSY = "embassy", _("embassy")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        OFF = "off", _("switched off")

    country = models.ForeignKey(Country, models.PROTECT, related_name="offices", verbose_name=_("country"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, default=Kind.MINISTRY)
    label = models.CharField(_("label"), max_length=100, blank=True, help_text=_("tells two of a kind apart"))
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    address_key = models.CharField(max_length=254, blank=True, editable=False, db_index=True)
    postal_address = models.TextField(_("postal address"), blank=True)
    source_url = models.URLField(
        _("source"), max_length=500, blank=True, help_text=_("where the address stands")
    )
    checked_on = models.DateField(_("checked on"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN)
    note = models.TextField(_("note"), blank=True)
    per_hour = models.PositiveIntegerField(
        _("letters an hour"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("at most; empty: as the campaign says"),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    objects = OfficeQuerySet.as_manager()

    class Meta:
        ordering = ["country", "kind", "label"]
        verbose_name = _("office")
        verbose_name_plural = _("offices")
        constraints = [
            models.UniqueConstraint(fields=["country", "kind", "label"], name="office_once"),
            models.CheckConstraint(
                condition=models.Q(email="")
                | (models.Q(checked_on__isnull=False) & ~models.Q(source_url="")),
                name="address_has_source_and_date",
                violation_error_message=_("An address needs its source and the date when it was checked."),
            ),
        ]

    def __str__(self) -> str:
        label = f" ({self.label})" if self.label else ""
        return f"{self.country.name}: {self.get_kind_display()}{label}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.address_key = address_key(self.email) if self.email else ""
        if (fields := kwargs.get("update_fields")) and "email" in fields:  # type: ignore[operator]
            kwargs["update_fields"] = {*fields, "address_key"}  # type: ignore[misc]
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        """Normalises the address. Raises ValidationError when it cannot be written to."""
        if not self.email:
            return
        try:
            self.email = normalise(self.email)
        except AddressError as error:
            raise ValidationError({"email": str(error)}) from None

    @property
    def sendable(self) -> bool:
        """Whether a letter can go to it by e-mail today (its State may still be switched off)."""
        return bool(self.email) and self.state == self.State.OPEN


class OfficeHolder(models.Model):
    """Who holds an office, as last verified."""

    office = models.ForeignKey(Office, models.CASCADE, related_name="holders", verbose_name=_("office"))
    name = models.CharField(_("name"), max_length=150)
    gender = models.CharField(
        _("gender"), max_length=12, default=Gender.UNKNOWN,
        choices=[choice for choice in Gender.choices if choice[0] != Gender.INSTITUTION],
        help_text=_("as the person's own pages say; never guessed from a name"),
    )  # fmt: skip
    source_url = models.URLField(_("source"), max_length=500)
    verified_on = models.DateField(_("verified on"))
    until = models.DateField(_("until"), null=True, blank=True, help_text=_("left the office"))

    class Meta:
        ordering = ["office", "-verified_on"]
        verbose_name = _("office holder")
        verbose_name_plural = _("office holders")

    def __str__(self) -> str:
        return self.name

    def usable(self, today: date) -> bool:
        """Whether the name may stand in a letter: still in office, verified within 180 days."""
        return self.until is None and today - self.verified_on <= timedelta(days=NAME_STOP_DAYS)

    def stale(self, today: date) -> bool:
        """Whether the name should be verified again (after 90 days)."""
        return self.until is None and today - self.verified_on > timedelta(days=NAME_WARN_DAYS)
