"""The words of a campaign: versions per language and country, approved by two people, then immutable."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.models import Country
from letters.models.campaign import Campaign
from letters.querysets import TextQuerySet
from letters.rules.placeholders import BLOCKS, INLINE, TextError, parse

COUNTRY_SLOTS = frozenset({"country.name", "country.of", "country.in", "ministry"})
FOOTER_SLOTS = frozenset({"campaign", "organisers", "reference", "reply_address", "sender.name"})


class Text(models.Model):
    """One version of one text. Once approved, its words never change: a correction is a new version."""

    class Kind(models.TextChoices):
        LETTER = "letter", _("letter")
        ASK = "ask", _("ask")
        FOOTER = "footer", _("note under the letter")
        STORY = "story", _("campaign page")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        APPROVED = "approved", _("approved")
        RETIRED = "retired", _("retired")

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="texts", verbose_name=_("campaign"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    key = models.SlugField(_("ask"), blank=True, help_text=_("the ask's key; empty for other kinds"))
    language = models.CharField(_("language"), max_length=10)
    country = models.ForeignKey(
        Country, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("only for"),
        help_text=_("empty: for every State"),
    )  # fmt: skip
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    title = models.CharField(_("subject or label"), max_length=200)
    body = models.TextField(_("text"))
    extra = models.JSONField(
        _("more"), default=dict, blank=True
    )  # story: summary, share, closed_note; ask: why
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.DRAFT, editable=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    objects = TextQuerySet.as_manager()

    class Meta:
        ordering = ["campaign", "kind", "key", "language", "-version"]
        verbose_name = _("text")
        verbose_name_plural = _("texts")
        permissions = [("approve_text", _("Can approve texts"))]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "kind", "key", "language", "version"],
                condition=models.Q(country=None),
                name="text_version_once",
            ),
            models.UniqueConstraint(
                fields=["campaign", "kind", "key", "language", "country", "version"],
                name="text_version_once_a_country",
            ),
        ]

    def __str__(self) -> str:
        where = f" {self.country_id}" if self.country_id else ""
        return f"{self.get_kind_display()} {self.key} {self.language}{where} v{self.version}".replace(
            "  ", " "
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        if (
            self.pk
            and set(kwargs.get("update_fields") or ["body"]) != {"state"}
            and self.state != self.State.DRAFT
        ):
            raise ValidationError(_("An approved text is never changed: make a new version."))
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuses anything but the placeholders of its kind, with line and column."""
        errors = {}
        for field in ("title", "body"):
            try:
                parse(getattr(self, field), allowed=self.placeholders(field))
            except TextError as error:
                errors[field] = str(error)
        if (self.kind == self.Kind.ASK) != bool(self.key):
            errors["key"] = _("An ask's text names its ask; other texts do not.")
        if errors:
            raise ValidationError(errors)

    def placeholders(self, field: str) -> frozenset[str]:
        """The placeholders that may stand in its title or body."""
        if self.kind == self.Kind.LETTER:
            return COUNTRY_SLOTS | {"sender.name"} if field == "title" else INLINE | BLOCKS
        if self.kind == self.Kind.FOOTER:
            return FOOTER_SLOTS if field == "body" else frozenset()
        return COUNTRY_SLOTS if self.kind == self.Kind.ASK and field == "body" else frozenset()

    def people(self) -> set[str]:
        """Who stands behind the words: its author and those who approved it."""
        names = {f"user:{self.author_id}"} if self.author_id else set()
        return names | {row.who for row in self.approvals.all()}


class TextApproval(models.Model):
    """One person's approval of one version. Two people stand behind every text that is used."""

    text = models.ForeignKey(Text, models.CASCADE, related_name="approvals", verbose_name=_("text"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    rehearsal = models.CharField(
        _("rehearsal"),
        max_length=40,
        blank=True,
        help_text=_("approved by the rehearsal itself, as this actor"),
    )
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["at"]
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [models.UniqueConstraint(fields=["text", "user"], name="approved_once_a_person")]

    def __str__(self) -> str:
        return self.who

    @property
    def who(self) -> str:
        """A key that tells people apart."""
        return f"rehearsal:{self.rehearsal}" if self.rehearsal else f"user:{self.user_id}"
