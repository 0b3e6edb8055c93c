"""Campaigns, their asks, their organisers, and the waves in which letters are let go."""

from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from contacts.models import Country, Organisation

RESERVED_SLUGS = frozenset(
    {"admin", "confirm", "refuse", "my", "thanks", "static", "write", "letters", "news"}
)


def not_reserved(slug: str) -> None:
    """Raises ValidationError for a key that is an address of the site itself."""
    if slug in RESERVED_SLUGS:
        raise ValidationError(_("This key is an address of the site itself."))


class Campaign(models.Model):
    """One call to write to ministries. Signing up and sending are separate switches."""

    class Signup(models.TextChoices):
        CLOSED = "closed", _("closed")
        OPEN = "open", _("open")

    class Sending(models.TextChoices):
        DRAFT = "draft", _("draft")
        READY = "ready", _("ready")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        FINISHED = "finished", _("finished")
        CANCELLED = "cancelled", _("cancelled")

    class Doubt(models.TextChoices):
        HOLD = "hold", _("hold for a person")
        RESEND = "resend", _("send again")

    slug = models.SlugField(_("key"), unique=True, validators=[not_reserved])
    reference_prefix = models.CharField(
        _("prefix of references"), max_length=10, validators=[RegexValidator(r"^[A-Z][A-Z0-9]{1,9}$")]
    )
    organisers = models.ManyToManyField(Organisation, through="Organiser", verbose_name=_("organisers"))
    round = models.PositiveSmallIntegerField(_("round"), default=1)
    signup = models.CharField(_("sign-up"), max_length=8, choices=Signup, default=Signup.CLOSED)
    sending = models.CharField(_("sending"), max_length=10, choices=Sending, default=Sending.DRAFT)
    opens_on = models.DateField(_("opens on"))
    closes_on = models.DateField(_("closes on"))
    goal = models.PositiveIntegerField(_("goal"), default=1000, validators=[MinValueValidator(1)])
    hashtags = models.JSONField(_("hashtags"), default=list, blank=True)
    reply_expected_days = models.PositiveSmallIntegerField(_("days until a reply is due"), default=30)
    per_office_hour = models.PositiveIntegerField(
        _("letters an hour to one office"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(10_000_000)],
    )
    office_hours = models.BooleanField(
        _("in office hours"), default=True,
        help_text=_("letters go on working days from 8 to 18 o'clock, where the ministry is"),
    )  # fmt: skip
    send_by = models.DateTimeField(_("send by"), null=True, blank=True, help_text=_("later letters expire"))
    doubt = models.CharField(_("letters in doubt"), max_length=8, choices=Doubt, default=Doubt.HOLD)
    trusted_since = models.DateTimeField(null=True, editable=False)  # the brake looks at what came after
    rehearsal = models.BooleanField(_("rehearsal"), default=False, help_text=_("its ministries are fake"))
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-opens_on"]
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        permissions = [("send_campaign", _("Can launch, pause and cancel sending"))]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(opens_on__lte=models.F("closes_on")), name="opens_before_closing"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def takes_letters(self, today: date) -> bool:
        """Whether people can sign up: open, within its days, and sending has not ended."""
        ended = self.sending in {self.Sending.FINISHED, self.Sending.CANCELLED}
        return self.signup == self.Signup.OPEN and not ended and self.opens_on <= today <= self.closes_on

    @property
    def from_localpart(self) -> str:
        """The local part of From, at the campaign's own domain (DMARC alignment)."""
        return self.slug


class Organiser(models.Model):
    """An organisation's place among the organisers of a campaign."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="organiser_rows")
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, related_name="+", verbose_name=_("organisation")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)

    class Meta:
        ordering = ["position"]
        verbose_name = _("organiser")
        verbose_name_plural = _("organisers")
        constraints = [models.UniqueConstraint(fields=["campaign", "organisation"], name="organiser_once")]

    def __str__(self) -> str:
        return str(self.organisation)


class Ask(models.Model):
    """One thing that a campaign asks of governments; its words are Texts."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="asks", verbose_name=_("campaign"))
    key = models.SlugField(_("key"))
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    not_for = models.ManyToManyField(Country, blank=True, related_name="+", verbose_name=_("not asked of"))

    class Meta:
        ordering = ["campaign", "position"]
        verbose_name = _("ask")
        verbose_name_plural = _("asks")
        constraints = [models.UniqueConstraint(fields=["campaign", "key"], name="ask_once")]

    def __str__(self) -> str:
        return self.key


class Wave(models.Model):
    """Letters let go together. `selected` is counted on its own when the rows are made."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="waves", verbose_name=_("campaign"))
    number = models.PositiveIntegerField(_("number"))
    day = models.DateField(_("rolling, of"), null=True, blank=True)  # None: frozen at a launch
    selected = models.PositiveIntegerField(_("selected"), default=0)
    canary = models.PositiveIntegerField(
        _("canary"), default=0, help_text=_("so many went first; the others wait for a person to go on")
    )
    continued_at = models.DateTimeField(_("continued"), null=True, editable=False)
    continued_by = models.CharField(_("continued by"), max_length=150, blank=True, editable=False)
    launched_at = models.DateTimeField(_("launched"), db_default=Now(), editable=False)
    launched_by = models.CharField(_("launched by"), max_length=150, blank=True)

    class Meta:
        ordering = ["campaign", "number"]
        verbose_name = _("wave")
        verbose_name_plural = _("waves")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "number"], name="wave_once"),
            models.UniqueConstraint(fields=["campaign", "day"], name="one_rolling_wave_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign} {self.number}"


class Brake(models.Model):
    """The automatic brake: a campaign paused itself, on this evidence."""

    class Cause(models.TextChoices):
        BOUNCES = "bounces", _("bounces")
        COMPLAINTS = "complaints", _("complaints")
        UNWRITTEN = "unwritten", _("writing failures")

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="brakes", verbose_name=_("campaign"))
    cause = models.CharField(_("cause"), max_length=12, choices=Cause)
    looked_at = models.PositiveIntegerField(_("letters looked at"))
    found = models.PositiveIntegerField(_("of these"))
    deliveries = models.JSONField(_("deliveries"), default=list)  # numbers of those found
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("brake")
        verbose_name_plural = _("brakes")

    def __str__(self) -> str:
        return f"{self.campaign}: {self.found}/{self.looked_at} {self.get_cause_display()}"


class Tally(models.Model):
    """Confirmed letters of a campaign to one State: kept, so that no page has to count."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="tallies")
    country = models.ForeignKey(Country, models.PROTECT, related_name="+")
    signed = models.PositiveIntegerField(default=0)  # falls when one is withdrawn
    numbered = models.PositiveIntegerField(default=0)  # never falls: no two people have the 42nd letter

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "country"], name="one_tally_a_country")]

    def __str__(self) -> str:
        return f"{self.country_id}: {self.signed}"
