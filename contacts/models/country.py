"""States, and the finished phrases with which each language speaks of them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from contacts.querysets import CountryPhrasesQuerySet


class Gender(models.TextChoices):
    """Of an office holder: known, or unknown. Never guessed from a name."""

    MALE = "m", _("male")
    FEMALE = "f", _("female")
    UNKNOWN = "unknown", _("unknown")
    INSTITUTION = "institution", _("the institution")


class Country(models.Model):
    """A member State of the United Nations or an observer State."""

    class Status(models.TextChoices):
        MEMBER = "member", _("member State")
        OBSERVER = "observer", _("observer State")

    code = models.CharField(_("code"), max_length=2, primary_key=True, help_text="ISO 3166-1 alpha-2")
    iso3 = models.CharField("ISO 3166-1 alpha-3", max_length=3)
    m49 = models.CharField("UN M49", max_length=3)
    name = models.CharField(_("name"), max_length=100, help_text=_("UN short name in English"))
    status = models.CharField(_("status"), max_length=10, choices=Status)
    group = models.CharField(_("regional group"), max_length=20, blank=True)
    member_since = models.DateField(_("member since"), null=True, blank=True)
    letter_languages = models.CharField(
        _("letter languages"),
        max_length=60,
        help_text=_("codes in the ministry's order, separated by spaces"),
    )
    head_title = models.CharField(_("title of the minister"), max_length=120, blank=True)
    ministry_confidence = models.CharField(_("confidence in the ministry's name"), max_length=10, blank=True)
    capital_tz = models.CharField(_("time zone of the capital"), max_length=40)
    weekend = models.CharField(_("weekend"), max_length=20)
    tile_col = models.PositiveSmallIntegerField(_("tile column"), null=True, blank=True)
    tile_row = models.PositiveSmallIntegerField(_("tile row"), null=True, blank=True)
    enabled = models.BooleanField(_("can be written to"), default=True)
    note = models.CharField(_("note"), max_length=300, blank=True)
    loaded = models.JSONField(default=dict, editable=False)  # values as last loaded: tells a person's edits

    class Meta:
        ordering = ["name"]
        verbose_name = _("country")
        verbose_name_plural = _("countries")

    def __str__(self) -> str:
        return self.name

    @property
    def languages(self) -> list[str]:
        """Languages in which its ministry reads letters, preferred first."""
        return self.letter_languages.split()


class CountryPhrases(models.Model):
    """How a State is spoken of in one language, from a date on. Finished phrases: never assembled."""

    country = models.ForeignKey(Country, models.CASCADE, related_name="phrases", verbose_name=_("country"))
    language = models.CharField(_("language"), max_length=10)
    valid_from = models.DateField(
        _("valid from"), null=True, blank=True, help_text=_("empty: from the start")
    )
    name = models.CharField(_("name"), max_length=120, help_text=_("as in a list: France"))
    inline = models.CharField(_("in a sentence"), max_length=120, blank=True, help_text=_("la France"))
    of = models.CharField(_("of"), max_length=120, blank=True, help_text=_("de la France"))
    in_country = models.CharField(_("in"), max_length=120, blank=True, help_text=_("en France"))
    ministry = models.CharField(_("name of the ministry"), max_length=200, blank=True)
    loaded = models.JSONField(default=dict, editable=False)

    objects = CountryPhrasesQuerySet.as_manager()

    class Meta:
        ordering = ["country", "language", "valid_from"]
        verbose_name = _("country phrases")
        verbose_name_plural = _("country phrases")
        constraints = [
            models.UniqueConstraint(fields=["country", "language", "valid_from"], name="phrases_once_a_date"),
            models.UniqueConstraint(
                fields=["country", "language"],
                condition=models.Q(valid_from=None),
                name="phrases_from_the_start_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"


class SalutationForm(models.Model):
    """A salutation and its closing, one linked pair of finished lines.

    Of one holder, else of one country's minister, else the language's own for the gender.
    """

    language = models.CharField(_("language"), max_length=10)
    gender = models.CharField(_("gender"), max_length=12, choices=Gender)
    country = models.ForeignKey(
        Country, models.CASCADE, null=True, blank=True, related_name="salutations", verbose_name=_("country")
    )
    holder = models.ForeignKey(
        "contacts.OfficeHolder", models.CASCADE, null=True, blank=True, related_name="salutations",
        verbose_name=_("office holder"),
    )  # fmt: skip
    salutation = models.CharField(_("salutation"), max_length=200)
    closing = models.CharField(_("closing"), max_length=300)
    loaded = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["language", "gender"]
        verbose_name = _("salutation and closing")
        verbose_name_plural = _("salutations and closings")
        constraints = [
            models.UniqueConstraint(
                fields=["language", "gender"],
                condition=models.Q(country=None, holder=None),
                name="one_salutation_a_language",
            ),
            models.UniqueConstraint(
                fields=["language", "gender", "country"],
                condition=models.Q(holder=None),
                name="one_salutation_a_country",
            ),
            models.UniqueConstraint(fields=["language", "holder"], name="one_salutation_a_holder"),
        ]

    def __str__(self) -> str:
        return self.salutation
