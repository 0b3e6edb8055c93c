"""What came in: raw bytes first, then readings of them, then where they were filed."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from letters.models.letter import Letter


class Incoming(models.Model):
    """One message as it arrived. Stored before anybody thinks about it; the bytes never change."""

    class State(models.TextChoices):
        NEW = "new", _("new")
        FILED = "filed", _("filed")
        TRAY = "tray", _("on the tray")
        NOTED = "noted", _("noted")  # about one of our own mails: a bounce, a complaint

    raw = models.BinaryField(editable=False)
    sha256 = models.CharField("SHA-256", max_length=64, editable=False)
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)  # without transport headers
    size = models.PositiveIntegerField(_("size"), editable=False)
    door = models.CharField(_("door"), max_length=12, editable=False)
    envelope_from = models.CharField(_("envelope sender"), max_length=320, blank=True, editable=False)
    envelope_to = models.JSONField(_("envelope recipients"), default=list, editable=False)
    received_at = models.DateTimeField(_("received"), db_default=Now(), editable=False)
    state = models.CharField(_("state"), max_length=6, choices=State, default=State.NEW)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)  # at reading it
    kind = models.CharField(_("kind"), max_length=12, blank=True, editable=False)  # of the latest reading
    sender = models.CharField(_("from"), max_length=320, blank=True, editable=False)
    subject = models.CharField(_("subject"), max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("incoming mail")
        verbose_name_plural = _("incoming mail")
        indexes = [
            models.Index(fields=["state", "kind"], name="incoming_by_state"),
            models.Index(fields=["received_at"], name="incoming_by_time"),
        ]

    def __str__(self) -> str:
        return self.subject or self.sha256[:12]


class Reading(models.Model):
    """What one version of the reader made of a message; may be made again, explains itself."""

    class Kind(models.TextChoices):
        BOUNCE_HARD = "bounce_hard", _("bounce, for good")
        BOUNCE_SOFT = "bounce_soft", _("bounce, for now")
        AUTO_REPLY = "auto_reply", _("automatic answer")
        COMPLAINT = "complaint", _("complaint")
        HUMAN_REPLY = "human_reply", _("answer")
        OTHER = "other", _("other")

    incoming = models.ForeignKey(Incoming, models.CASCADE, related_name="readings", verbose_name=_("mail"))
    version = models.PositiveIntegerField(_("reader's version"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    fields = models.JSONField(_("fields"), default=dict)
    reasons = models.JSONField(_("why"), default=list)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        constraints = [models.UniqueConstraint(fields=["incoming", "version"], name="read_once_a_version")]

    def __str__(self) -> str:
        return self.get_kind_display()


class Filing(models.Model):
    """An incoming message filed under a letter: how, how sure, and whether somebody took it back."""

    class Method(models.TextChoices):
        TOKEN = "token", _("its reply address")
        THREAD = "thread", _("it answers our message")
        BOUNCE = "bounce", _("it came back to our message's own bounce address")
        REFERENCE = "reference", _("it quotes the public reference")
        HAND = "hand", _("filed by a person")

    incoming = models.ForeignKey(Incoming, models.CASCADE, related_name="filings", verbose_name=_("mail"))
    letter = models.ForeignKey(Letter, models.PROTECT, related_name="filings", verbose_name=_("letter"))
    method = models.CharField(_("method"), max_length=10, choices=Method)
    confidence = models.PositiveSmallIntegerField(_("confidence"), help_text=_("of 100"))
    verified = models.BooleanField(_("sender is the office"), default=False)
    why = models.CharField(_("why here"), max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["pk"]
        verbose_name = _("filing")
        verbose_name_plural = _("filings")
        constraints = [
            models.UniqueConstraint(fields=["incoming", "letter"], name="filed_once_under_a_letter")
        ]

    def __str__(self) -> str:
        return f"{self.incoming} → {self.letter}"
