"""Writes the message of one delivery: letters from their frozen form, other mail from templates."""

from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from contacts.addresses import envelope
from letters import composing, links
from letters.models import Delivery, Letter
from letters.rules import composing as rules
from letters.rules import tokens
from letters.sending.mime import Mail, build, mailbox

NAME_HERE, WORDS_HERE = "[ … ]", ""


def write(delivery: Delivery) -> bytes:
    """The bytes of a delivery's message, CRLF line ends. The same delivery gives the same bytes.

    Needs `submitted_at` (the Date) and, for letters, `form`. Raises NoText, KeyError, ValueError for what
    cannot be written.
    """
    mail = _letter(delivery) if delivery.kind == Delivery.Kind.LETTER else _confirmation(delivery)
    return build(mail)


def envelope_sender(delivery: Delivery) -> str:
    """The address to which a bounce of this very delivery comes back, signed."""
    return tokens.bounce_address(delivery.pk, settings.SECRET_KEY.encode(), settings.REPLY_DOMAIN)


def reply_address(letter: Letter) -> str:
    """The address at which answers to a letter arrive."""
    return tokens.reply_address(letter.reply_token, settings.REPLY_DOMAIN)


def _letter(delivery: Delivery) -> Mail:
    letter, campaign = delivery.letter, delivery.campaign
    assert letter is not None
    assert campaign is not None
    assert delivery.form is not None
    answers = reply_address(letter)
    form = rules.load(delivery.form.data)
    done = rules.compose(form, composing.person_of(letter, reply_address=answers))
    return Mail(
        sender=mailbox(letter.signer_name, f"{campaign.from_localpart}@{settings.REPLY_DOMAIN}"),
        recipient=mailbox("", envelope(delivery.recipient)),
        reply_to=answers,
        subject=done.subject,
        text=done.text,
        html=done.html,
        message_id=delivery.message_id,
        at=_date(delivery),
        language=form.language,
    )


def _confirmation(delivery: Delivery) -> Mail:
    """Approved words only: name and own words stand on the signed page, read by nobody who did not ask."""
    letter = delivery.letter
    assert letter is not None
    today = timezone.now().date()
    form = composing.form_of(letter, today=today)
    blank = rules.Person(NAME_HERE, "", NAME_HERE, tuple(letter.asks), WORDS_HERE, letter.reference, "…")
    language = letter.reading_language
    with translation.override(language):
        values = composing.office_values(letter.campaign, letter.office, language, today=today)
        title = composing.title_of(letter.campaign, language)
        context = {
            "campaign_title": title,
            "country_name": composing.country_name(letter, language),
            "ministry": values["ministry"] or values["addressee"],
            "asks": [text.title for text in composing.ask_texts(letter, language)],
            "approved_text": rules.compose(form, blank).text.split("\n-- \n")[0].strip(),
            "letter_language": form.language,
            "dir": form.direction,
            "confirm_url": _link("confirm", links.Purpose.CONFIRM, letter),
            "refuse_url": _link("refuse", links.Purpose.REFUSE, letter),
            "days": links.Purpose.CONFIRM.lasts.days,
            "organisers": values["organisers"].split(", "),
            "site_url": settings.SITE_URL,
        }
        subject, text, html = (
            render_to_string(f"emails/confirmation.{ending}", context)
            for ending in ("subject.txt", "txt", "html")
        )
    return Mail(
        sender=mailbox(title, f"{letter.campaign.from_localpart}@{settings.REPLY_DOMAIN}"),
        recipient=mailbox("", envelope(delivery.recipient)),
        subject=subject,
        text=text,
        html=html,
        message_id=delivery.message_id,
        at=_date(delivery),
        language=language,
        extra=(("Auto-Submitted", "auto-generated"),),  # RFC 3834 §5
    )


def _link(view: str, purpose: links.Purpose, letter: Letter) -> str:
    path = reverse(f"letters:{view}", args=[links.make(purpose, letter.pk)])
    return settings.SITE_URL + path


def _date(delivery: Delivery) -> datetime:
    return (delivery.submitted_at or timezone.now()).replace(microsecond=0)
