"""The ledger: one delivery is one message to one envelope recipient. All mail goes through it."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.models import Office, Supporter
from letters.models.campaign import Campaign, Wave
from letters.models.letter import Letter
from letters.querysets import DeliveryQuerySet
from letters.rules.ledger import Outcome, State

LABELS = {
    State.HELD: _("held"),
    State.WAITING: _("waiting"),
    State.SUBMITTING: _("submitting"),
    State.DEFERRED: _("deferred"),
    State.UNCERTAIN: _("uncertain"),
    State.ACCEPTED: _("accepted"),
    State.FAILED: _("failed"),
    State.SUPPRESSED: _("suppressed"),
    State.WITHDRAWN: _("withdrawn"),
    State.CANCELLED: _("cancelled"),
    State.EXPIRED: _("expired"),
}
OUTCOMES = {
    Outcome.NONE: _("no news"),
    Outcome.DELIVERED: _("delivered"),
    Outcome.BOUNCED_SOFT: _("bounced, for now"),
    Outcome.ACKNOWLEDGED: _("acknowledged"),
    Outcome.REPLIED: _("replied"),
    Outcome.BOUNCED_HARD: _("bounced for good"),
    Outcome.COMPLAINED: _("complained"),
}


class Form(models.Model):
    """A frozen letter form: what the letters to one office share. Content-addressed, never changed."""

    digest = models.CharField(max_length=64, unique=True)
    data = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.digest[:12]


class Delivery(models.Model):
    """One message to one envelope recipient, with its state, and its outcome once accepted.

    Every index is written again on each change of state, so there are as few as its readers need.
    """

    class Kind(models.TextChoices):
        CONFIRMATION = "confirmation", _("confirmation")
        ANSWER = "answer", _("answer to a ministry")
        NOTICE = "notice", _("notice")
        LETTER = "letter", _("letter")
        DIGEST = "digest", _("digest")

    # Lower lanes first: a person who waits for a confirmation never waits behind a campaign.
    LANES = {Kind.CONFIRMATION: 0, Kind.ANSWER: 1, Kind.NOTICE: 2, Kind.LETTER: 3, Kind.DIGEST: 4}

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    lane = models.PositiveSmallIntegerField(default=3, editable=False)
    letter = models.ForeignKey(
        Letter, models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("letter")
    )
    campaign = models.ForeignKey(
        Campaign, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("campaign"),
        db_index=False,
    )  # fmt: skip
    wave = models.ForeignKey(
        Wave, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("wave"), db_index=False
    )
    office = models.ForeignKey(
        Office, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("office"),
        db_index=False,
    )  # fmt: skip
    supporter = models.ForeignKey(
        Supporter, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("supporter"),
        db_index=False,
    )  # fmt: skip
    recipient = models.CharField(_("recipient"), max_length=254, blank=True)
    message_id = models.CharField("Message-ID", max_length=120)
    provider_id = models.CharField(_("the provider's number"), max_length=200, blank=True, editable=False)
    form = models.ForeignKey(
        Form, models.PROTECT, null=True, blank=True, related_name="+", editable=False, db_index=False
    )

    state = models.CharField(
        _("state"),
        max_length=12,
        choices=[(state.value, label) for state, label in LABELS.items()],
        default=State.WAITING.value,
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    outcome = models.PositiveSmallIntegerField(
        _("outcome"),
        choices=[(rank.value, label) for rank, label in OUTCOMES.items()],
        default=Outcome.NONE.value,
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    claimed_by = models.CharField(max_length=40, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    first_tried_at = models.DateTimeField(null=True, editable=False)
    submitted_at = models.DateTimeField(_("submitted"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["message_id"], name="message_id_once"),
            models.UniqueConstraint(
                fields=["letter", "kind", "recipient"],
                condition=models.Q(kind="letter"),
                name="one_delivery_a_letter_and_recipient",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at"],
                name="mails_due",
                condition=models.Q(state__in=["waiting", "deferred"]) & ~models.Q(kind="letter"),
            ),
            models.Index(
                fields=["office", "campaign", "due_at"],
                name="letters_due",
                condition=models.Q(state__in=["waiting", "deferred"], kind="letter"),
            ),
            models.Index(
                fields=["lease_until"],
                name="deliveries_leased",
                condition=models.Q(state="submitting"),
            ),
            models.Index(fields=["office"], name="deliveries_held", condition=models.Q(state="held")),
            models.Index(
                fields=["campaign", "kind", "state", "finished_at"], name="deliveries_of_a_campaign"
            ),
            models.Index(
                fields=["provider_id"], name="deliveries_of_a_provider", condition=~models.Q(provider_id="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class DeliveryEvent(models.Model):
    """Something that happened to a delivery. Append-only; what a stranger tells is told once."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="events", verbose_name=_("delivery"))
    what = models.CharField(_("what"), max_length=20)
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    source = models.CharField(_("source"), max_length=40)
    event_id = models.CharField(max_length=200, null=True, blank=True, unique=True, editable=False)
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return self.what
