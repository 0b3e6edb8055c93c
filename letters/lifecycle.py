"""Launch, pause, resume, cancel, finish: the switch of a campaign's sending, and its closing equation."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from letters import outbox
from letters.models import Ask, Campaign, Delivery, Letter, Text, Wave
from letters.querysets import total
from letters.rules.ledger import FINAL, STOPPABLE, State

Sending = Campaign.Sending
FROM = {
    "launch": {Sending.DRAFT},
    "pause": {Sending.RUNNING},
    "resume": {Sending.PAUSED},
    "cancel": {Sending.DRAFT, Sending.RUNNING, Sending.PAUSED},
    "finish": {Sending.RUNNING, Sending.PAUSED},
}


class Refused(Exception):
    """The campaign cannot do that now; the message says why."""


@dataclass(frozen=True)
class Equation:
    """selected = Σ final, and nothing open: then a campaign may be called finished."""

    selected: int
    states: dict[str, int]

    @property
    def open(self) -> int:
        """Deliveries that still have somewhere to go."""
        return sum(count for state, count in self.states.items() if State(state) not in FINAL)

    @property
    def final(self) -> int:
        """Deliveries that ended."""
        return sum(count for state, count in self.states.items() if State(state) in FINAL)

    @property
    def balanced(self) -> bool:
        """Whether every selected letter is somewhere, and every one found was selected."""
        return self.selected == self.open + self.final

    @property
    def closed(self) -> bool:
        """Whether every selected letter ended."""
        return self.balanced and self.open == 0


def equation(campaign: Campaign) -> Equation:
    """The closing equation of a campaign's letters."""
    letters = Delivery.objects.filter(campaign=campaign, kind=Delivery.Kind.LETTER)
    return Equation(
        selected=total(Wave.objects.filter(campaign=campaign), "selected"), states=letters.by_state()
    )


def launch(campaign: Campaign, *, by: str) -> Wave | None:
    """Starts sending: freezes the confirmed letters as a wave; later ones join rolling waves.

    Pressed twenty times at once it launches once. Raises Refused when the campaign is not a draft, or
    when a language it needs has no approved letter.
    """
    with transaction.atomic():
        locked = _locked(campaign, "launch")
        if missing := missing_texts(locked):
            raise Refused("Not approved yet: " + "; ".join(missing))
        _switch(locked, Sending.RUNNING)
        return outbox.post_all(locked, launched_by=by)


def pause(campaign: Campaign, *, by: str) -> None:
    """Stops sending: what is not yet being submitted waits. Raises Refused unless it is running."""
    with transaction.atomic():
        _switch(_locked(campaign, "pause"), Sending.PAUSED)


def resume(campaign: Campaign, *, by: str) -> Wave | None:
    """Goes on sending, with the letters confirmed meanwhile. Raises Refused unless it is paused."""
    with transaction.atomic():
        locked = _locked(campaign, "resume")
        _switch(locked, Sending.RUNNING)
        return outbox.post_all(locked, launched_by=by)


def cancel(campaign: Campaign, *, by: str) -> int:
    """Ends sending for good; letters that have not left are cancelled. Returns how many.

    Raises Refused when it has ended already.
    """
    with transaction.atomic():
        locked = _locked(campaign, "cancel")
        _switch(locked, Sending.CANCELLED)  # and takes no more letters: see Campaign.takes_letters
        rows = Delivery.objects.letters().filter(campaign=locked, state__in=STOPPABLE)
        numbers = list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        return Delivery.objects.filter(pk__in=numbers).update(
            state=State.CANCELLED, reason=f"cancelled by {by}"[:300], finished_at=Now()
        )


def finish(campaign: Campaign, *, by: str) -> None:
    """Calls a campaign finished. Raises Refused while the closing equation does not close."""
    with transaction.atomic():
        locked = _locked(campaign, "finish")
        sums = equation(locked)
        if left := Letter.objects.unposted().filter(campaign=locked, round=locked.round).count():
            raise Refused(f"{left} confirmed letters were never selected: resume first.")
        if not sums.closed:
            raise Refused(f"{sums.open} letters are still open, {sums.final} of {sums.selected} ended.")
        _switch(locked, Sending.FINISHED)


def act(campaign: Campaign, name: str, *, by: str) -> None:
    """Does one of launch, pause, resume, cancel, finish by name. Raises Refused as these do."""
    verbs = {"launch": launch, "pause": pause, "resume": resume, "cancel": cancel, "finish": finish}
    verbs[name](campaign, by=by)


def missing_texts(campaign: Campaign) -> list[str]:
    """What must be approved before launch: letter and asks, in each language that has a letter."""
    missing = []
    texts = Text.objects.filter(campaign=campaign)
    languages = set(texts.filter(kind=Text.Kind.LETTER).values_list("language", flat=True))
    if not languages:
        return ["a letter, in any language"]
    asks = list(Ask.objects.filter(campaign=campaign).values_list("key", flat=True))
    for language in sorted(languages):
        found = Text.objects.in_use(campaign, language=language)
        wanted = [(Text.Kind.LETTER, ""), *((Text.Kind.ASK, key) for key in asks)]
        missing += [
            f"{kind.label} {key} ({language})".replace("  ", " ")
            for kind, key in wanted
            if (kind, key) not in found
        ]
    return missing


def _locked(campaign: Campaign, act: str) -> Campaign:
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    if locked.sending not in FROM[act]:
        raise Refused(f"{locked.slug} is {locked.get_sending_display()}: it cannot {act}.")
    return locked


def _switch(campaign: Campaign, sending: Campaign.Sending) -> None:
    campaign.sending = sending
    campaign.save(update_fields=["sending"])
