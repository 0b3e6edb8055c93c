"""Loads a campaign from its data files: facts, organisers, asks, texts as drafts. May run again."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from django.db import transaction

from contacts.models import Organisation, OrganisationAbout
from letters.models import Ask, Campaign, Organiser, Text, TextApproval

DATA = Path(__file__).parent / "data"
TWO = 2  # people who stand behind a text that is used


@transaction.atomic
def load_campaign(
    folder: Path,
    *,
    slug: str = "",
    opens_on: date | None = None,
    closes_on: date | None = None,
    rehearsal: bool = False,
) -> Campaign:
    """Loads a campaign from a folder (campaign.toml, texts.<language>.toml); returns it.

    What exists stays as it is, so that a coordinator's edits are never overwritten: only what is missing is
    made. Texts come as drafts. Another slug and dates make a copy, for a rehearsal or the next round.
    Raises FileNotFoundError, tomllib.TOMLDecodeError, KeyError, ValidationError for broken files.
    """
    facts = tomllib.loads((folder / "campaign.toml").read_text("utf-8"))
    campaign, new = Campaign.objects.get_or_create(
        slug=slug or facts["slug"],
        defaults={
            "reference_prefix": facts["reference_prefix"],
            "opens_on": opens_on or facts["sign_up_opens"],
            "closes_on": closes_on or facts["sign_up_closes"],
            "goal": facts["goal"],
            "hashtags": facts["hashtags"],
            "reply_expected_days": facts["reply_expected_days"],
            "rehearsal": rehearsal,
        },
    )
    for place, key in enumerate(facts["asks"]):
        Ask.objects.get_or_create(campaign=campaign, key=key, defaults={"position": place})
    for place, row in enumerate(facts["organisers"]):
        organisation = _organisation(row)
        if new:
            Organiser.objects.create(campaign=campaign, organisation=organisation, position=place)
    for path in sorted(folder.glob("texts.*.toml")):
        _load_texts(campaign, tomllib.loads(path.read_text("utf-8")))
    return campaign


def approve(text: Text, *, user: Any = None, rehearsal: str = "") -> bool:
    """Records a person's approval (or, as such, the rehearsal's); True when the text is approved by it.

    A text is used once two people stand behind it, its author counted; earlier versions then retire.
    May happen twice.
    """
    with transaction.atomic():
        locked = Text.objects.select_for_update(of=("self",)).get(pk=text.pk)
        TextApproval.objects.get_or_create(text=locked, user=user, rehearsal=rehearsal)
        if locked.state != Text.State.DRAFT or len(locked.people()) < TWO:
            return locked.state == Text.State.APPROVED
        same = {name: getattr(locked, name) for name in ("campaign", "kind", "key", "language", "country")}
        Text.objects.filter(**same, state=Text.State.APPROVED).update(state=Text.State.RETIRED)
        locked.state = Text.State.APPROVED
        locked.save(update_fields=["state"])
    return True


def _organisation(row: dict[str, Any]) -> Organisation:
    handles = [{"network": "", "handle": handle} for handle in row["handles"]]
    defaults = {"name": row["name"], "email": row["email"], "website": row["website"], "handles": handles}
    return Organisation.objects.get_or_create(slug=row["slug"], defaults=defaults | {"is_controller": True})[
        0
    ]


def _load_texts(campaign: Campaign, data: dict[str, Any]) -> None:
    language = data["language"]
    _text(campaign, language, Text.Kind.LETTER, title=data["letter"]["subject"], body=data["letter"]["body"])
    _text(campaign, language, Text.Kind.FOOTER, title=language, body=data["footer"]["body"])
    story = data["story"]
    extra = {name: story[name] for name in ("summary", "share", "closed_note")}
    _text(campaign, language, Text.Kind.STORY, title=story["title"], body=story["body"], extra=extra)
    for key, ask in data["asks"].items():
        extra = {"why": ask["why"]}
        _text(
            campaign, language, Text.Kind.ASK, key=key, title=ask["label"], body=ask["sentence"], extra=extra
        )
    for slug, row in data["organisers"].items():
        organisation = Organisation.objects.get(slug=slug)
        about = {"text": row["about"].strip()}
        OrganisationAbout.objects.get_or_create(organisation=organisation, language=language, defaults=about)


def _text(campaign: Campaign, language: str, kind: Text.Kind, *, key: str = "", **words: Any) -> None:
    if Text.objects.filter(campaign=campaign, kind=kind, key=key, language=language, country=None).exists():
        return
    words["body"] = words["body"].strip()
    text = Text(campaign=campaign, kind=kind, key=key, language=language, **words)
    text.full_clean(exclude=["author"])
    text.save()
