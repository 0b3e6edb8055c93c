"""Organisations that run a campaign and answer for the data they hold."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Organisation(models.Model):
    """An organiser: who it is, how to reach it, and where its privacy notice stands."""

    slug = models.SlugField(_("key"), unique=True)
    name = models.CharField(_("name"), max_length=120)
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    website = models.URLField(_("web site"), blank=True)
    handles = models.JSONField(
        _("handles"), default=list, blank=True, help_text=_('[{"network": …, "handle": …}]')
    )
    is_controller = models.BooleanField(
        _("controller"), default=False, help_text=_("answers for personal data (GDPR article 4(7))")
    )
    postal_address = models.TextField(_("postal address"), blank=True)
    privacy_url = models.URLField(_("privacy notice"), blank=True)
    legal_url = models.URLField(_("legal page"), blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("organisation")
        verbose_name_plural = _("organisations")

    def __str__(self) -> str:
        return self.name


class OrganisationAbout(models.Model):
    """One paragraph on an organisation, in one language."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="abouts")
    language = models.CharField(_("language"), max_length=10)
    text = models.TextField(_("text"))

    class Meta:
        verbose_name = _("presentation")
        verbose_name_plural = _("presentations")
        constraints = [
            models.UniqueConstraint(fields=["organisation", "language"], name="about_once_a_language")
        ]

    def __str__(self) -> str:
        return f"{self.organisation} ({self.language})"
