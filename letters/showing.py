"""Facts of campaigns and letters as plain values for templates, in the language of the pages."""

from typing import Any

from django.conf import settings
from django.db.models import Prefetch, QuerySet, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from contacts.models import CountryPhrases, OrganisationAbout, Supporter
from letters import links, previewing
from letters.composing import COURTESY_LANGUAGE, Texts, country_name, source_of
from letters.models import Campaign, Delivery, Filing, Letter, Text
from letters.models.campaign import Tally
from letters.models.incoming import Reading
from letters.querysets import total
from letters.rules import composing as rules
from letters.rules.ledger import STOPPABLE, Outcome, State


def campaign(row: Campaign) -> dict[str, Any]:
    """A campaign for its pages: story, asks, count, organisers. A handful of queries, whatever its size."""
    texts = Text.objects.in_use(row, language=COURTESY_LANGUAGE) | Text.objects.in_use(
        row, language=get_language()
    )
    story = texts.get((Text.Kind.STORY, ""))
    signed = total(Tally.objects.filter(campaign=row), "signed")
    today = timezone.now().date()
    is_open = row.takes_letters(today)
    return {
        "title": story.title if story else row.slug,
        "paragraphs": story.body.split("\n\n") if story else [],
        **{
            name: (story.extra.get(name, "") if story else "") for name in ("summary", "share", "closed_note")
        },
        "asks": [_ask(texts[Text.Kind.ASK, key]) for key in _asked(row) if (Text.Kind.ASK, key) in texts],
        "signed": signed,
        "goal": row.goal,
        "percent": min(100, signed * 100 // row.goal),
        "open": is_open,
        "closes_on": row.closes_on,
        "past": row.closes_on < today,
        "days_left": max(0, (row.closes_on - today).days) if is_open else None,
        "hashtags": row.hashtags,
        "rehearsal": row.rehearsal,
        "url": row.get_absolute_url(),
        "write_url": reverse("letters:write", args=[row.slug]),
        "organisers": organisers(row),
    }


def cards(rows: list[Campaign]) -> list[dict[str, Any]]:
    """Campaigns for a list of them: as many queries for many as for one."""
    stories = Text.objects.approved().filter(campaign__in=rows, kind=Text.Kind.STORY, country=None)
    languages = [COURTESY_LANGUAGE, get_language()]
    ours_last = sorted(
        stories.filter(language__in=languages),
        key=lambda text: (languages.index(text.language), text.version),
    )
    story = {text.campaign_id: text for text in ours_last}
    tallies = Tally.objects.filter(campaign__in=rows).values_list("campaign")
    signed = dict(tallies.annotate(Sum("signed")))
    return [
        {
            "title": story[row.pk].title if row.pk in story else row.slug,
            "summary": story[row.pk].extra.get("summary", "") if row.pk in story else "",
            "signed": signed.get(row.pk, 0),
            "open": row.takes_letters(timezone.now().date()),
            "url": row.get_absolute_url(),
        }
        for row in rows
    ]


def organisers(row: Campaign) -> list[dict[str, Any]]:
    """Who is behind a campaign."""
    organisations = [place.organisation for place in row.organiser_rows.select_related("organisation")]
    abouts = _abouts(organisations)
    fields = ("slug", "name", "email", "website", "handles", "privacy_url", "legal_url")
    return [
        {name: getattr(organisation, name) for name in fields} | {"about": abouts.get(organisation.pk, "")}
        for organisation in organisations
    ]


def signers(row: Campaign, at_most: int = 12) -> list[dict[str, str]]:
    """The latest people who agreed to be shown."""
    latest = (
        Letter.objects.confirmed().filter(campaign=row, show_name=True).select_related("lives_in", "country")
    )
    names = CountryPhrases.objects.on(timezone.now().date(), get_language())
    return [
        {
            "name": letter.signer_name,
            "city": letter.city,
            "country": _name(letter.lives_in or letter.country, names),
        }
        for letter in latest[:at_most]
    ]


def model_letter(row: Campaign) -> dict[str, Any] | None:
    """The letter with blanks, to copy without giving any data; None when it is not in this language."""
    found = Text.objects.in_use(row, language=get_language())
    letter = found.get((Text.Kind.LETTER, ""))
    if letter is None:
        return None
    asks = {key: found[Text.Kind.ASK, key] for key in _asked(row) if (Text.Kind.ASK, key) in found}
    texts = Texts(language=letter.language, courtesy=False, letter=letter, footer=None, asks=asks)
    blanks = {
        "country.name": _("[country]"),
        "country.of": _("[of country]"),
        "country.in": _("[in country]"),
        "ministry": _("[ministry]"),
        "addressee": _("[ministry and country]"),
        "salutation": _("[salutation]"),
        "closing": _("[closing]"),
        "campaign": letter.title,
        "organisers": ", ".join(one["name"] for one in organisers(row)),
    }
    form = rules.fill(source_of(texts), blanks)
    person = rules.Person(_("[your name]"), "", _("[your name]"), tuple(asks), "", "", "")
    return previewing.shown(form, rules.compose(form, person))


def news(row: Campaign) -> list[dict[str, str]]:
    """The news that can be asked for, each with the exact words of the consent."""
    return [
        {
            "key": one["slug"],
            "label": _("Yes, %(name)s may send me its news by e-mail.") % {"name": one["name"]},
        }
        for one in organisers(row)
    ]


def consent_wording(row: Campaign) -> str:
    """The exact words to which a signer agrees; they are kept with the consent."""
    names = ", ".join(one["name"] for one in organisers(row))
    return _(
        "I agree that %(names)s use what I entered here, which shows a political opinion, to send this "
        "letter to the ministry in my name, to show me what became of it and to count my letter. "
        "I can take this back at any time."
    ) % {"names": names}


def to_confirm(letter: Letter) -> dict[str, Any]:
    """The whole letter, for the page that confirms it."""
    shown = previewing.stored(letter)
    return {
        "campaign": {"title": "", "rehearsal": letter.campaign.rehearsal},
        "letter_text": shown["text"],
        "letter_subject": shown["subject"],
        "letter_language": shown["language"],
        "dir": shown["dir"],
        "office_name": previewing.ministry_name(letter.office, get_language(), timezone.now().date()),
        "country_name": country_name(letter, get_language()),
        "held": not letter.office.sendable,
        "signer_name": letter.signer_name,
    }


def thanks(letter: Letter) -> dict[str, Any]:
    """What a person sees after confirming."""
    page = campaign(letter.campaign)
    mine = links.make(links.Purpose.MY_LETTERS, letter.supporter_id)
    return {
        "campaign": page,
        "number": letter.number,
        "country_name": country_name(letter, get_language()),
        "my_letters_url": reverse("letters:my_letters", args=[mine]),
        "share": page["share"],
        "share_url": settings.SITE_URL + page["url"],
        "hashtags": page["hashtags"],
        "held": not letter.office.sendable,
    }


def letters_of(supporter: Supporter, token: str, *, read: str = "") -> dict[str, Any]:
    """All letters of a supporter, and those that still wait for a confirmation.

    The words of one letter are with it: of that with the reference `read`, else of the latest.
    """
    related = ("campaign", "office__country", "country", "text", "footer", "lives_in")
    sent = Delivery.objects.filter(kind=Delivery.Kind.LETTER).order_by("pk")
    filed = Filing.objects.filter(undone_at=None).select_related("incoming").defer("incoming__raw")
    mine = (
        Letter.objects.filter(supporter=supporter).exclude(state=Letter.State.MERGED).select_related(*related)
    )
    mine = list(mine.prefetch_related(Prefetch("deliveries", sent), Prefetch("filings", filed))[:100])
    waiting = Letter.objects.filter(address_key=supporter.address_key, state=Letter.State.UNCONFIRMED)
    names = CountryPhrases.objects.on(timezone.now().date(), get_language())
    titles = {card["url"]: card["title"] for card in cards(list({letter.campaign for letter in mine}))}
    open_one = next((letter for letter in mine if letter.reference == read), mine[0] if mine else None)
    return {
        "supporter_name": supporter.name,
        "letters": [
            _followed(letter, token)
            | {
                "country_name": _name(letter.country, names),
                "campaign_title": titles[letter.campaign.get_absolute_url()],
                "asked_for": letter.reference == read,
            }
            | (previewing.stored(letter) if letter is open_one else {})
            for letter in mine
        ],
        "pending": [
            {
                "country_name": _name(letter.country, names),
                "confirm_url": reverse(
                    "letters:confirm", args=[links.make(links.Purpose.CONFIRM, letter.pk)]
                ),
            }
            for letter in waiting.select_related("country")
        ],
    }


def _followed(letter: Letter, token: str) -> dict[str, Any]:
    delivery = next(iter(letter.deliveries.all()), None)
    replies = [filing.incoming for filing in letter.filings.all() if filing.incoming.kind in _REPLIES]
    withdrawn = letter.state == Letter.State.WITHDRAWN
    return {
        "reference": letter.reference,
        "language_name": previewing.language_name(letter.language),
        "steps": [] if withdrawn else _steps(letter, delivery, replies),
        "state_label": letter.get_state_display() if withdrawn else _state_label(delivery),
        "can_withdraw": not withdrawn and (delivery is None or delivery.state in STOPPABLE),
        "withdraw_url": reverse("letters:withdraw", args=[token, letter.pk]),
        "replies": [
            {"received_at": row.received_at, "kind_label": Reading.Kind(row.kind).label} for row in replies
        ],
    }


_REPLIES = {Reading.Kind.HUMAN_REPLY, Reading.Kind.AUTO_REPLY}


def _steps(letter: Letter, delivery: Delivery | None, replies: list[Any]) -> list[dict[str, Any]]:
    sent = delivery is not None and delivery.state == State.ACCEPTED
    human = next((row for row in replies if row.kind == Reading.Kind.HUMAN_REPLY), None)
    steps = [
        {"label": _("Signed"), "done": True, "at": letter.confirmed_at},
        {"label": _("In the outbox"), "done": delivery is not None, "at": delivery and delivery.created_at},
        {
            "label": _("Sent to the ministry") if sent else _("Then it is sent to the ministry"),
            "done": sent,
            "at": delivery.finished_at if sent else None,
        },
        {
            "label": _("Answered") if human else _("Then we wait for an answer"),
            "done": human is not None,
            "at": human and human.received_at,
        },
    ]
    first_open = next((place for place, step in enumerate(steps) if not step["done"]), None)
    return [step | {"current": place == first_open} for place, step in enumerate(steps)]


def _state_label(delivery: Delivery | None) -> str:
    if delivery is None:
        return _("waits for the campaign to start sending")
    if delivery.state == State.ACCEPTED:
        return _arrival(Outcome(delivery.outcome))
    return {
        State.HELD: _("waits for a verified address of the ministry"),
        State.FAILED: _("could not be sent"),
        State.UNCERTAIN: _("perhaps sent: we are finding out"),
        State.CANCELLED: _("not sent: the campaign has ended"),
        State.EXPIRED: _("not sent: the campaign has ended"),
        State.SUPPRESSED: _("not sent: the ministry takes no more letters"),
        State.WITHDRAWN: _("withdrawn"),
    }.get(State(delivery.state), _("on its way to be sent"))


def _arrival(outcome: Outcome) -> str:
    if outcome in {Outcome.BOUNCED_SOFT, Outcome.BOUNCED_HARD}:
        return _("sent, but it came back")
    if outcome == Outcome.REPLIED:
        return _("answered")
    return _("acknowledged by the ministry") if outcome == Outcome.ACKNOWLEDGED else _("sent")


def _asked(row: Campaign) -> QuerySet:
    return row.asks.order_by("position").values_list("key", flat=True)


def _ask(text: Text) -> dict[str, str]:
    return {"key": text.key, "label": text.title, "why": text.extra.get("why", "")}


def _abouts(organisations: list[Any]) -> dict[int, str]:
    rows = OrganisationAbout.objects.filter(
        organisation__in=organisations, language__in=[COURTESY_LANGUAGE, get_language()]
    )
    ours_last = sorted(rows, key=lambda row: row.language == get_language())
    return {row.organisation_id: row.text for row in ours_last}


def _name(country: Any, names: dict[str, Any]) -> str:
    return names[country.pk].name if country.pk in names else country.name
