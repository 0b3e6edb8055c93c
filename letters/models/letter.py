"""A letter: one supporter to one office, in one campaign and round."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.models import Country, Office, Supporter
from letters.models.campaign import Campaign
from letters.models.text import Text
from letters.querysets import LetterQuerySet


class Letter(models.Model):
    """What a person asked to have sent. Until confirmation all personal data stays on this row."""

    class State(models.TextChoices):
        UNCONFIRMED = "unconfirmed", _("waiting for confirmation")
        CONFIRMED = "confirmed", _("confirmed")
        WITHDRAWN = "withdrawn", _("withdrawn")
        REFUSED = "refused", _("not confirmed: said “not me”")
        MERGED = "merged", _("the same person had written there before")
        ERASED = "erased", _("erased")

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="letters", verbose_name=_("campaign"))
    round = models.PositiveSmallIntegerField(_("round"), default=1)
    office = models.ForeignKey(Office, models.PROTECT, related_name="+", verbose_name=_("office"))
    country = models.ForeignKey(Country, models.PROTECT, related_name="+", verbose_name=_("country"))
    supporter = models.ForeignKey(
        Supporter, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("supporter")
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.UNCONFIRMED)

    signer_name = models.CharField(_("name"), max_length=100)
    signer_email = models.CharField(_("e-mail"), max_length=254)
    address_key = models.CharField(max_length=254, editable=False)
    lives_in = models.ForeignKey(Country, models.PROTECT, null=True, blank=True, related_name="+")
    home = models.CharField(_("lives in"), max_length=120, blank=True)  # as it stands in the letter, frozen
    city = models.CharField(_("city"), max_length=80, blank=True)
    organisation = models.CharField(_("organisation"), max_length=120, blank=True)
    include_email = models.BooleanField(_("address stands in the letter"), default=False)
    show_name = models.BooleanField(_("name is shown among the signers"), default=False)
    own_words = models.TextField(_("own words"), blank=True)
    reading_language = models.CharField(_("language of the pages"), max_length=10)
    consent_wording = models.TextField(_("consent"), blank=True)
    news = models.JSONField(default=dict, blank=True)  # {organisation: wording shown}, before confirmation

    language = models.CharField(_("language"), max_length=10)
    courtesy = models.BooleanField(_("in English as a courtesy"), default=False)
    text = models.ForeignKey(Text, models.PROTECT, related_name="+", verbose_name=_("text"))
    footer = models.ForeignKey(Text, models.PROTECT, related_name="+", null=True, blank=True)
    asks = models.JSONField(
        _("asks"), default=dict
    )  # {ask key: id of the Text chosen}, in the person's order

    reply_token = models.CharField(max_length=13, unique=True, editable=False)
    reference = models.CharField(_("reference"), max_length=24, unique=True, editable=False)
    number = models.PositiveIntegerField(_("number"), null=True, editable=False)  # the 42nd to this country
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, editable=False)

    objects = LetterQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "round", "supporter", "office"],
                condition=~models.Q(state__in=["withdrawn", "merged"]),
                name="one_letter_a_supporter_and_office",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "country", "state"], name="letters_of_a_country"),
            models.Index(fields=["address_key", "created_at"], name="letters_of_an_address"),
            models.Index(fields=["state", "created_at"], name="letters_by_age"),
            models.Index(
                fields=["confirmed_at"], name="letters_just_confirmed", condition=models.Q(state="confirmed")
            ),
            models.Index(
                fields=["campaign", "-id"],
                name="signers_shown",
                condition=models.Q(show_name=True, state="confirmed"),
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def purpose(self) -> str:
        """The key under which consent to send it is recorded."""
        return f"letter:{self.campaign.slug}"
