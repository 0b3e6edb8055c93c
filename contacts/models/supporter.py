"""Supporters who confirmed an address, what they consented to, and who must not be written to."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.addresses import address_key, normalise
from contacts.models.country import Country


class Supporter(models.Model):
    """A person who showed that an address is theirs. Made when a letter is confirmed, never before."""

    email = models.CharField(_("e-mail"), max_length=254)
    address_key = models.CharField(max_length=254, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=100)
    language = models.CharField(_("language"), max_length=10)
    country = models.ForeignKey(
        Country, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("lives in")
    )
    city = models.CharField(_("city"), max_length=80, blank=True)
    organisation = models.CharField(_("organisation"), max_length=120, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("supporter")
        verbose_name_plural = _("supporters")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.email = normalise(self.email)
        self.address_key = address_key(self.email)
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class Consent(models.Model):
    """One act of consent or its withdrawal, with the exact words that were shown. Append-only."""

    class Act(models.TextChoices):
        GIVEN = "given", _("given")
        WITHDRAWN = "withdrawn", _("withdrawn")

    supporter = models.ForeignKey(
        Supporter, models.CASCADE, related_name="consents", verbose_name=_("supporter")
    )
    purpose = models.CharField(_("purpose"), max_length=100, help_text="letter:un2020, news:un2020 …")
    act = models.CharField(_("act"), max_length=10, choices=Act)
    wording = models.TextField(_("wording"))
    language = models.CharField(_("language"), max_length=10)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        indexes = [models.Index(fields=["supporter", "purpose", "-id"], name="latest_consent")]

    def __str__(self) -> str:
        return f"{self.purpose}: {self.get_act_display()}"

    def save(self, *args: object, **kwargs: object) -> None:
        if self.pk:
            raise ValidationError(_("A consent is never changed: record a new one."))
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class Suppression(models.Model):
    """An address that must not be written to, kept as a keyed hash: it says nothing to a reader."""

    class Scope(models.TextChoices):
        ALL = "all", _("all mail")
        NEWS = "news", _("news only")

    class Reason(models.TextChoices):
        ASKED = "asked", _("asked not to be written to")
        COMPLAINT = "complaint", _("complained")
        BOUNCE = "bounce", _("bounced repeatedly")
        ERASED = "erased", _("erased")
        NOT_ME = "not_me", _("said: this was not me")

    address_hash = models.CharField(max_length=64, editable=False)
    scope = models.CharField(_("scope"), max_length=8, choices=Scope, default=Scope.ALL)
    reason = models.CharField(_("reason"), max_length=12, choices=Reason)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [models.UniqueConstraint(fields=["address_hash", "scope"], name="suppressed_once")]

    def __str__(self) -> str:
        return self.address_hash[:12]
