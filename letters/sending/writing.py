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
from letters.rules.composing import Plan
from letters.sending import facts
from letters.sending.facts import LetterFacts
from letters.sending.jobs import Job
from letters.sending.mime import Mail, build, mailbox

NAME_HERE, WORDS_HERE = "[ … ]", ""


def write(delivery: Delivery) -> bytes:
    """The bytes of a delivery's message, CRLF line ends. The same delivery gives the same bytes.

    Needs `submitted_at` (the Date) and, for letters, `form`. Raises NoText, KeyError, ValueError for what
    cannot be written.
    """
    if delivery.kind != Delivery.Kind.LETTER:
        return build(_confirmation(delivery))
    assert delivery.form is not None
    [row] = facts.letters([delivery.pk])
    return build(_letter(row, Plan(rules.load(delivery.form.data))))


def letter_job(row: LetterFacts, plan: Plan, *, checked_at: float) -> Job:
    """A letter ready to leave. Raises AddressError, KeyError, ValueError for what cannot be written."""
    way = facts.route(row.email)
    return Job(
        number=row.number,
        attempts=row.attempts,
        first_tried_at=row.first_tried_at,
        domain=way.domain,
        campaign=row.campaign,
        kind=Delivery.Kind.LETTER,
        sender=bounce_address(row.number),
        recipient=way.envelope,
        mail=_letter(row, plan),
        checked_at=checked_at,
    )


def mail_job(mail: Delivery, *, checked_at: float) -> Job:
    """Another mail ready to leave. Raises as `letter_job` does."""
    way = facts.route(mail.recipient)
    return Job(
        number=mail.pk,
        attempts=mail.attempts,
        first_tried_at=mail.first_tried_at,
        domain=way.domain,
        campaign=None,  # it does not wait for its campaign to run
        kind=mail.kind,
        sender=bounce_address(mail.pk),
        recipient=way.envelope,
        mail=_confirmation(mail),
        checked_at=checked_at,
    )


def bounce_address(number: int) -> str:
    """The address to which a bounce of this very delivery comes back, signed."""
    return tokens.bounce_address(number, settings.SECRET_KEY.encode(), settings.REPLY_DOMAIN)


def reply_address(letter: Letter | LetterFacts) -> str:
    """The address at which answers to a letter arrive."""
    return tokens.reply_address(letter.reply_token, settings.REPLY_DOMAIN)


def _letter(row: LetterFacts, plan: Plan) -> Mail:
    answers = reply_address(row)
    done = plan.compose(composing.person_of(row, reply_address=answers))
    return Mail(
        sender=mailbox(row.signer_name, f"{row.slug}@{settings.REPLY_DOMAIN}"),
        recipient=mailbox("", facts.route(row.email).envelope),
        reply_to=answers,
        subject=done.subject,
        text=done.text,
        html=done.html,
        message_id=row.message_id,
        at=_date(row.submitted_at),
        language=plan.language,
        extra=_labels(row.letter),
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
        at=_date(delivery.submitted_at),
        language=language,
        extra=(("Auto-Submitted", "auto-generated"),),  # RFC 3834 §5
    )


def _link(view: str, purpose: links.Purpose, letter: Letter) -> str:
    path = reverse(f"letters:{view}", args=[links.make(purpose, letter.pk)])
    return settings.SITE_URL + path


def _labels(number: int) -> tuple[tuple[str, str], ...]:
    """The header that tells letters apart in a relay's log, where one is configured."""
    return ((settings.LETTER_ID_HEADER, str(number)),) if settings.LETTER_ID_HEADER else ()


def _date(moment: datetime | None) -> datetime:
    return (moment or timezone.now()).replace(microsecond=0)
