"""What a person sees of a letter before it exists, and after: plain values for templates."""

from datetime import date
from typing import Any

from django.utils.translation import get_language_info

from contacts.models import Office
from letters import composing, signup
from letters.models import Campaign, Letter
from letters.rules import composing as rules
from letters.sending.writing import reply_address

BLANK = "…"


def preview(
    campaign: Campaign, office: Office, *, asks: list[str], own_words: str, signer: signup.Signer
) -> dict[str, Any]:
    """The letter that a half-filled form describes, as the ministry will read it. Raises NoText."""
    texts = composing.texts_for(campaign, office)
    chosen = [key for key in asks if key in texts.asks]
    letter = signup.draft(campaign, office, chosen, own_words=own_words, signer=signer)
    letter.reference = f"{campaign.reference_prefix}-{office.country_id}-{BLANK}"
    form = composing.make_form(campaign, office, texts, today=letter.created_at.date())
    done = rules.compose(form, composing.person_of(letter, reply_address=BLANK))
    return shown(form, done) | {
        "addressee_ministry": ministry_name(office, texts.language, letter.created_at.date()),
        "held": not office.sendable,
        "courtesy": texts.courtesy,
        "empty": False,
    }


def reading_copy(
    campaign: Campaign, office: Office, *, asks: list[str], own_words: str, signer: signup.Signer
) -> dict[str, Any] | None:
    """The same letter in the language of the pages, for reading; None when there is no other."""
    texts = composing.texts_for(campaign, office)
    language = signer.reading_language
    found = composing.texts_in(campaign, office, language)
    if found is None or texts.language == language:
        return None
    letter = signup.draft(campaign, office, [], own_words=own_words, signer=signer)
    letter.language, letter.reference = language, BLANK
    letter.home = composing.home_of(signer.lives_in, language)
    letter.asks = {key: found.asks[key].pk for key in asks if key in found.asks}
    form = composing.make_form(campaign, office, found, today=letter.created_at.date())
    return shown(form, rules.compose(form, composing.person_of(letter, reply_address=BLANK)))


def stored(letter: Letter) -> dict[str, Any]:
    """A stored letter as it will be sent, or was."""
    form, done = composing.read_letter(letter, reply_address=reply_address(letter))
    return shown(form, done)


def shown(form: rules.Form, done: rules.Composed) -> dict[str, Any]:
    """A composed letter for a template."""
    return {
        "language": form.language,
        "language_name": language_name(form.language),
        "dir": form.direction,
        "subject": done.subject,
        "text": done.text,
    }


def language_name(code: str) -> str:
    """A language's name in the language of the pages, else its code."""
    try:
        return str(get_language_info({"zh": "zh-hans"}.get(code, code))["name_translated"])
    except KeyError:
        return code


def ministry_name(office: Office, language: str, day: date) -> str:
    """The ministry's name in a language, else the State's name."""
    from_phrases = office.country.phrases.on(day, language).get(office.country_id)
    return from_phrases.ministry if from_phrases and from_phrases.ministry else office.country.name
