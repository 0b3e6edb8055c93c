"""The sign-up form: what a person types, checked once, at the door."""

import unicodedata
from typing import Any

from django import forms
from django.core import signing
from django.utils.translation import gettext_lazy as _

from contacts.addresses import AddressError, normalise
from contacts.models import Country, CountryPhrases, Office
from letters.models import Campaign

LEAST_SECONDS = 2  # nobody reads and fills the page faster
WORDS_AT_MOST = 2000  # characters of own words
STARTED = signing.TimestampSigner(salt="letters.forms.started")
BIDI_CONTROLS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])  # turn the text after them


class WriteForm(forms.Form):
    """A letter and its signer, for one campaign, in one language of the pages."""

    country = forms.ChoiceField(
        label=_("Country you write to"), error_messages={"required": _("Choose the country you write to.")}
    )
    asks = forms.MultipleChoiceField(
        label=_("Asks"), widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one ask.")},
    )  # fmt: skip
    own_words = forms.CharField(
        label=_("In your own words"), required=False, max_length=WORDS_AT_MOST, strip=True,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("Why does this matter where you live? Write in the language of the letter, if you can."),
    )  # fmt: skip
    name = forms.CharField(
        label=_("Your name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": _("Enter your name: a letter needs a signature.")},
    )  # fmt: skip
    email = forms.CharField(
        label=_("Your e-mail address"), max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
        help_text=_("We send the link to confirm there. The ministry does not see it unless you allow it."),
        error_messages={"required": _("Enter your e-mail address: you confirm your letter there.")},
    )  # fmt: skip
    lives_in = forms.ChoiceField(label=_("Country you live in"), required=False)
    city = forms.CharField(
        label=_("Town"), required=False, max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "address-level2"}),
    )  # fmt: skip
    organisation = forms.CharField(
        label=_("Organisation"), required=False, max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )  # fmt: skip
    include_email = forms.BooleanField(label=_("My e-mail address may stand in the letter"), required=False)
    show_name = forms.BooleanField(
        label=_("Show my name, town and country among the signers"), required=False
    )
    news = forms.MultipleChoiceField(required=False)
    agree = forms.BooleanField(
        label=_("I agree"),
        error_messages={"required": _("Without your agreement we cannot send the letter.")},
    )
    website = forms.CharField(required=False)  # filled in by machines only
    started = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self, data: Any = None, *, campaign: Campaign, language: str, today: Any, **kwargs: Any
    ) -> None:
        kwargs.setdefault("initial", {})["started"] = STARTED.sign("form")
        super().__init__(data, **kwargs)
        names = CountryPhrases.objects.on(today, language)
        countries = sorted(_named(Country.objects.all(), names), key=lambda pair: _sortable(pair[1]))
        open_to = set(Office.objects.open().ministries().values_list("country", flat=True))
        empty = [("", _("Choose …"))]
        self.fields["country"].choices = [*empty, *(pair for pair in countries if pair[0] in open_to)]
        self.fields["lives_in"].choices = [*empty, *countries]
        self.fields["asks"].choices = [(key, key) for key in campaign.asks.values_list("key", flat=True)]
        rows = campaign.organiser_rows.select_related("organisation")
        self.fields["news"].choices = [(row.organisation.slug, row.organisation.name) for row in rows]

    def clean_email(self) -> str:
        try:
            return normalise(self.cleaned_data["email"])
        except AddressError:
            raise forms.ValidationError(
                _("This is not a complete e-mail address. It looks like name@example.org.")
            ) from None

    def clean_name(self) -> str:
        return _one_line(self.cleaned_data["name"])

    def clean_city(self) -> str:
        return _one_line(self.cleaned_data["city"])

    def clean_organisation(self) -> str:
        return _one_line(self.cleaned_data["organisation"])

    def clean_own_words(self) -> str:
        words = self.cleaned_data["own_words"]
        return "".join(char for char in words if char in "\n\r\t" or unicodedata.category(char) != "Cc")

    def clean_started(self) -> str:
        """Raises ValidationError for a form sent back faster than anybody reads: pressing again is enough."""
        started = self.cleaned_data["started"]
        try:
            STARTED.unsign(started, max_age=LEAST_SECONDS)
        except signing.SignatureExpired:
            return started
        except signing.BadSignature:
            self.data = self.data.copy()  # missing or made up: the same answer, and a fresh start
            self.data["started"] = STARTED.sign("form")
        raise forms.ValidationError(
            _("That was very quick. Please look at your letter and press the button again.")
        )

    @property
    def is_machine(self) -> bool:
        """Whether the field that people do not see was filled in."""
        return bool(self.data.get("website"))


def _named(countries: Any, names: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c.pk, names[c.pk].name if c.pk in names else c.name) for c in countries]


def _sortable(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))


def _one_line(value: str) -> str:
    """Raises ValidationError for line breaks and control characters: a name stands in a mail header."""
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"} for char in value):
        raise forms.ValidationError(_("Please leave out line breaks and control characters."))
    return " ".join(value.translate(BIDI_CONTROLS).split())
