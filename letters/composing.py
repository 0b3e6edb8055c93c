"""Which words a letter is made of: its language, its texts, its form. Reads the tables, changes none."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Protocol

from django.utils import timezone

from contacts.models import Country, CountryPhrases, Office, OfficeHolder, SalutationForm
from contacts.models.country import Gender
from letters.memory import once
from letters.models import Campaign, Form, Letter, Text
from letters.rules import composing as rules
from letters.rules.placeholders import Paragraph, parse, slots

COURTESY_LANGUAGE = "en"


class NoText(LookupError):
    """The campaign has no approved letter that this ministry could be sent."""


@dataclass(frozen=True)
class Texts:
    """The versions that a letter is made of."""

    language: str
    courtesy: bool
    letter: Text
    footer: Text | None
    asks: dict[str, Text]


def texts_for(campaign: Campaign, office: Office) -> Texts:
    """The approved texts in the first of the ministry's languages that has them, else English as a courtesy.

    Raises NoText when there is not even English.
    """
    languages = office.country.languages
    for language in dict.fromkeys([*languages, COURTESY_LANGUAGE]):
        if texts := texts_in(campaign, office, language):
            return texts
    raise NoText(f"No approved letter of {campaign} can be sent to {office}.")


def texts_in(campaign: Campaign, office: Office, language: str) -> Texts | None:
    """The approved texts in one language, or None when it has no letter."""
    found = _in_use(campaign, language, office.country_id)
    letter = found.get((Text.Kind.LETTER, ""))
    return letter and Texts(
        language=language,
        courtesy=language not in office.country.languages,
        letter=letter,
        footer=found.get((Text.Kind.FOOTER, "")),
        asks=_asks(campaign, office, found),
    )


def _asks(campaign: Campaign, office: Office, found: dict[tuple[str, str], Text]) -> dict[str, Text]:
    kept = once(("asks", campaign.pk), lambda: _ask_rows(campaign))
    asked = [key for key, not_for in kept if office.country_id not in not_for]
    return {key: found[Text.Kind.ASK, key] for key in asked if (Text.Kind.ASK, key) in found}


def _ask_rows(campaign: Campaign) -> list[tuple[str, set[str]]]:
    return [
        (ask.key, {country.pk for country in ask.not_for.all()})
        for ask in campaign.asks.prefetch_related("not_for")
    ]


def _in_use(campaign: Campaign, language: str, country: str | None) -> dict[tuple[str, str], Text]:
    rows = once(("texts", campaign.pk, language), lambda: Text.objects.of(campaign, language))
    return Text.objects.newest(rows, country=country)


def form_of(letter: Letter, *, today: date) -> rules.Form:
    """The form of a letter as its texts, its office and the phrases are on a day."""
    asks = Text.objects.in_bulk(letter.asks.values())
    texts = Texts(
        language=letter.language,
        courtesy=letter.courtesy,
        letter=letter.text,
        footer=letter.footer,
        asks={key: asks[pk] for key, pk in letter.asks.items()},
    )
    return make_form(letter.campaign, letter.office, texts, today=today)


def form_of_many(letter: Letter, *, today: date) -> tuple[rules.Form, dict[str, int]]:
    """A form that also holds the asks which others may have chosen, and {ask: id of its Text} on it.

    Where those cannot be said of this State, the form of this letter alone.
    """
    found = texts_in(letter.campaign, letter.office, letter.language)
    chosen = Text.objects.in_bulk(letter.asks.values())
    asks = (found.asks if found else {}) | {key: chosen[pk] for key, pk in letter.asks.items()}
    texts = Texts(letter.language, letter.courtesy, letter.text, letter.footer, asks)
    try:
        form = make_form(letter.campaign, letter.office, texts, today=today)
    except NoText:
        return form_of(letter, today=today), dict(letter.asks)
    return form, {key: text.pk for key, text in asks.items()}


def make_form(campaign: Campaign, office: Office, texts: Texts, *, today: date) -> rules.Form:
    """All that the letters of one campaign to one office share, filled in.

    Raises NoText when a phrase that the texts use is missing for the State.
    """
    source = source_of(texts)
    values = office_values(campaign, office, texts.language, today=today)
    used = set().union(
        *(slots(p) for p in (source.subject, source.body, source.footer, *source.asks.values()))
    )
    if missing := [name for name in used - rules.PERSONAL if not values.get(name)]:
        raise NoText(f"{office}: no {', '.join(sorted(missing))} in {texts.language}.")
    return rules.fill(source, values)


def source_of(texts: Texts) -> rules.Source:
    """The texts, parsed."""
    return rules.Source(
        language=texts.language,
        subject=_parsed(texts.letter.title),
        body=_parsed(texts.letter.body),
        footer=_parsed(texts.footer.body) if texts.footer else (),
        asks={key: _parsed(text.body) for key, text in texts.asks.items()},
    )


def office_values(campaign: Campaign, office: Office, language: str, *, today: date) -> dict[str, str]:
    """The values of the placeholders that depend on the office, in one language."""
    phrases = CountryPhrases.objects.of_country(office.country_id, day=today, language=language)
    holder = next((h for h in office.holders.order_by("-verified_on") if h.usable(today)), None)
    pair = _salutation(office, holder, language)
    organisers = once(("organisers", campaign.pk), lambda: _organisers(campaign))
    addressee = [holder.name if holder else "", phrases.ministry if phrases else "", _address_line(phrases)]
    return {
        "country.name": phrases.inline if phrases else "",
        "country.of": phrases.of if phrases else "",
        "country.in": phrases.in_country if phrases else "",
        "ministry": phrases.ministry if phrases else "",
        "addressee": "\n".join(line for line in addressee if line),
        "salutation": pair.salutation if pair else "",
        "closing": pair.closing if pair else "",
        "campaign": title_of(campaign, language),
        "organisers": ", ".join(organisers),
    }


def _organisers(campaign: Campaign) -> list[str]:
    return [row.organisation.name for row in campaign.organiser_rows.select_related("organisation")]


def title_of(campaign: Campaign, language: str) -> str:
    """The campaign's name in a language, else in English, else its key."""
    for wanted in (language, COURTESY_LANGUAGE):
        if story := _in_use(campaign, wanted, None).get((Text.Kind.STORY, "")):
            return story.title
    return campaign.slug


def country_name(letter: Letter, language: str) -> str:
    """The list name of the State written to, in a language."""
    phrases = CountryPhrases.objects.of_country(
        letter.country_id, day=timezone.now().date(), language=language
    )
    return phrases.name if phrases else letter.country.name


def home_of(country: Country | None, language: str) -> str:
    """Where a sender lives, as it stands in a letter of that language; "" when not told."""
    if country is None:
        return ""
    phrases = CountryPhrases.objects.of_country(country.pk, day=timezone.now().date(), language=language)
    return phrases.name if phrases else country.name


class Signed(Protocol):
    """What a letter says of its sender: a Letter, or the same columns of it."""

    signer_name: str
    signer_email: str
    include_email: bool
    city: str
    home: str
    organisation: str
    own_words: str
    asks: dict[str, int]
    reference: str


def person_of(letter: Signed, *, reply_address: str) -> rules.Person:
    """The sender's own part of a letter."""
    place = ", ".join(part for part in (letter.city, letter.home) if part)
    email = letter.signer_email if letter.include_email else ""
    return rules.Person(
        name=letter.signer_name,
        place=place,
        signature="\n".join(line for line in (letter.signer_name, letter.organisation, place, email) if line),
        asks=tuple(letter.asks),
        own_words=letter.own_words,
        reference=letter.reference,
        reply_address=reply_address,
    )


def ask_texts(letter: Letter, language: str) -> list[Text]:
    """The chosen asks' texts in a language that the supporter reads, else as they stand in the letter."""
    found = _in_use(letter.campaign, language, letter.country_id)
    chosen = Text.objects.in_bulk(letter.asks.values())
    return [found.get((Text.Kind.ASK, key)) or chosen[pk] for key, pk in letter.asks.items()]


def keep(form: rules.Form) -> Form:
    """The stored form with the same content, made if it is new. May happen twice."""
    return keep_all([form])[0]


def keep_all(forms: list[rules.Form]) -> list[Form]:
    """The stored forms with the same contents, in the same order; new ones are made."""
    wanted = []
    for form in forms:
        data = rules.dump(form)
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        wanted.append((hashlib.sha256(text.encode()).hexdigest(), data))
    by_digest = Form.objects.in_bulk({digest for digest, _ in wanted}, field_name="digest")
    if missing := {digest: data for digest, data in wanted if digest not in by_digest}:
        made = (Form(digest=digest, data=data) for digest, data in sorted(missing.items()))
        Form.objects.bulk_create(made, ignore_conflicts=True)
        by_digest |= Form.objects.in_bulk(missing, field_name="digest")
    return [by_digest[digest] for digest, _ in wanted]


def read_letter(letter: Letter, *, reply_address: str) -> tuple[rules.Form, rules.Composed]:
    """The letter as it would be sent today, or, once sent, as its kept form says it was; and that form."""
    sent = letter.deliveries.filter(kind="letter", form__isnull=False).select_related("form").first()
    form = rules.load(sent.form.data) if sent else form_of(letter, today=timezone.now().date())
    return form, rules.compose(form, person_of(letter, reply_address=reply_address))


def _address_line(phrases: CountryPhrases | None) -> str:
    """The State in an address: its list name, but “The Kingdom of the Netherlands”, not “Netherlands (…)”."""
    if phrases is None:
        return ""
    inverted = "(" in phrases.name and phrases.inline
    return phrases.inline[:1].upper() + phrases.inline[1:] if inverted else phrases.name


def _salutation(office: Office, holder: OfficeHolder | None, language: str) -> SalutationForm | None:
    """The holder's own pair, else the State's for the gender, else the language's, else the neutral one."""
    genders = [holder.gender, Gender.UNKNOWN] if holder else [Gender.INSTITUTION, Gender.UNKNOWN]
    of_language = SalutationForm.objects.filter(language=language).order_by("pk")
    every = once(("salutations", language), lambda: list(of_language))
    rows = [row for row in every if row.gender in genders]
    order = [("holder_id", holder.pk)] if holder else []
    for field, value in [*order, ("country_id", office.country_id)]:
        for gender in genders:
            for row in rows:
                if (
                    getattr(row, field) == value
                    and row.gender == gender
                    and (field == "holder_id" or not row.holder_id)
                ):
                    return row
    general = {row.gender: row for row in rows if row.country_id is None and row.holder_id is None}
    return next((general[gender] for gender in genders if gender in general), None)


@lru_cache(maxsize=4096)
def _parsed(source: str) -> tuple[Paragraph, ...]:
    return parse(source)
