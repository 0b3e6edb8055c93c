"""The switch of a campaign's sending, from draft to finished or cancelled, and its closing equation."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from letters import outbox
from letters.models import Ask, Campaign, Delivery, Letter, Text, Wave
from letters.models.delivery import LABELS
from letters.querysets import total
from letters.rules.ledger import FINAL, OPEN, Outcome, State

Sending = Campaign.Sending
ACTS = {
    "ready": gettext_lazy("Mark as ready"),
    "launch": gettext_lazy("Launch"),
    "go_on": gettext_lazy("Go on after the canary"),
    "pause": gettext_lazy("Pause"),
    "resume": gettext_lazy("Resume"),
    "finish": gettext_lazy("Finish"),
    "cancel": gettext_lazy("Cancel"),
}
FROM = {
    "ready": {Sending.DRAFT},
    "launch": {Sending.DRAFT, Sending.READY},
    "go_on": {Sending.RUNNING},
    "pause": {Sending.RUNNING},
    "resume": {Sending.PAUSED},
    "finish": {Sending.RUNNING, Sending.PAUSED},
    "cancel": {Sending.DRAFT, Sending.READY, Sending.RUNNING, Sending.PAUSED},
}
BOUNCED = (Outcome.BOUNCED_SOFT, Outcome.BOUNCED_HARD)


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
        return sum(self.states[state] for state in OPEN)

    @property
    def final(self) -> int:
        """Deliveries that ended."""
        return sum(self.states[state] for state in FINAL)

    @property
    def balanced(self) -> bool:
        """Whether every selected letter is somewhere, and every one found was selected."""
        return self.selected == self.open + self.final

    @property
    def closed(self) -> bool:
        """Whether every selected letter ended."""
        return self.balanced and self.open == 0


@dataclass(frozen=True)
class Canary:
    """What the letters that went first of a wave have shown so far."""

    wave: Wave
    waiting: int  # those that wait for it
    accepted: int
    failed: int
    bounced: int
    complained: int


def equation(campaign: Campaign) -> Equation:
    """The closing equation of a campaign's letters."""
    letters = Delivery.objects.filter(campaign=campaign, kind=Delivery.Kind.LETTER)
    return Equation(
        selected=total(Wave.objects.filter(campaign=campaign), "selected"), states=letters.by_state()
    )


def ready(campaign: Campaign, *, by: str) -> None:
    """Says that all a campaign needs is there. Raises Refused, naming what is not, unless it is a draft."""
    with transaction.atomic():
        locked = _locked(campaign, "ready")
        _refuse_missing(locked)
        _switch(locked, Sending.READY)


def launch(campaign: Campaign, *, by: str) -> Wave | None:
    """Starts sending: freezes the confirmed letters as a wave; later ones join rolling waves.

    Of a large wave only the canary goes: see `go_on`. Pressed twenty times at once it launches once.
    Raises Refused when the campaign was launched before, or when a language it needs has no approved letter.
    """
    with transaction.atomic():
        locked = _locked(campaign, "launch")
        _refuse_missing(locked)
        _switch(locked, Sending.RUNNING)
        return outbox.post_all(locked, launched_by=by)


def go_on(campaign: Campaign, *, by: str) -> int:
    """Lets go the letters that waited for what a canary would show; returns how many.

    Raises Refused unless the campaign is running and letters wait so.
    """
    with transaction.atomic():
        locked = _locked(campaign, "go_on")
        waves = list(outbox.canary_waves().filter(campaign=locked))
        if not waves:
            raise Refused(_("No letters wait for a canary."))
        Wave.objects.filter(pk__in=[wave.pk for wave in waves]).update(
            continued_at=Now(), continued_by=by[:150]
        )
        return sum(outbox.let_go(wave) for wave in waves)


def canaries(campaign: Campaign) -> list[Canary]:
    """The canaries that are out, and what each has shown."""
    return [_canary(wave) for wave in outbox.canary_waves().filter(campaign=campaign)]


def pause(campaign: Campaign, *, by: str) -> None:
    """Stops sending: what is not yet being submitted waits. Raises Refused unless it is running."""
    with transaction.atomic():
        _switch(_locked(campaign, "pause"), Sending.PAUSED)


def resume(campaign: Campaign, *, by: str) -> Wave | None:
    """Goes on sending, with the letters confirmed meanwhile; the brake looks at what happens from now on.

    Raises Refused unless it is paused.
    """
    with transaction.atomic():
        locked = _locked(campaign, "resume")
        _switch(locked, Sending.RUNNING)
        Campaign.objects.filter(pk=locked.pk).update(trusted_since=Now())
        return outbox.post_all(locked, launched_by=by)


def cancel(campaign: Campaign, *, by: str) -> int:
    """Ends sending for good; letters that have not left are cancelled. Returns how many.

    Sending stops at once: the switch is committed before the many rows are written. Should we be killed in
    between, `outbox.close_overdue` ends the rest. Raises Refused when the campaign has ended already.
    """
    with transaction.atomic():
        _switch(_locked(campaign, "cancel"), Sending.CANCELLED)
    return outbox.call_off(campaign.pk, State.CANCELLED, reason=f"cancelled by {by}")


def finish(campaign: Campaign, *, by: str) -> None:
    """Calls a campaign finished. Raises Refused while the closing equation does not close."""
    with transaction.atomic():
        locked = _locked(campaign, "finish")
        if left := Letter.objects.unposted().filter(campaign=locked, round=locked.round).count():
            raise Refused(
                _("%(count)d confirmed letters were never selected: resume first.") % {"count": left}
            )
        sums = equation(locked)
        if not sums.closed:
            raise Refused(_still_open(sums) if sums.open else _unbalanced(sums))
        _switch(locked, Sending.FINISHED)


def act(campaign: Campaign, name: str, *, by: str) -> None:
    """Does one of ACTS by name. Raises Refused as these do."""
    verbs = {
        "ready": ready, "launch": launch, "go_on": go_on, "pause": pause, "resume": resume,
        "finish": finish, "cancel": cancel,
    }  # fmt: skip
    verbs[name](campaign, by=by)


def missing_texts(campaign: Campaign) -> list[str]:
    """What must be approved before launch: letter and asks, in each language that has a letter."""
    missing = []
    texts = Text.objects.filter(campaign=campaign)
    languages = set(texts.filter(kind=Text.Kind.LETTER).values_list("language", flat=True))
    if not languages:
        return [_("a letter, in any language")]
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


def _canary(wave: Wave) -> Canary:
    """By the index of a campaign's ends: only those since the wave was launched are looked at."""
    since = Delivery.objects.letters().filter(campaign=wave.campaign_id, finished_at__gte=wave.launched_at)
    ended = since.filter(wave=wave, state__in=[State.ACCEPTED, State.FAILED])
    return Canary(
        wave=wave,
        waiting=outbox.behind_canary(wave).count(),
        **ended.aggregate(
            accepted=Count("pk", filter=Q(state=State.ACCEPTED)),
            failed=Count("pk", filter=Q(state=State.FAILED)),
            bounced=Count("pk", filter=Q(outcome__in=BOUNCED)),
            complained=Count("pk", filter=Q(outcome=Outcome.COMPLAINED)),
        ),
    )


def _refuse_missing(campaign: Campaign) -> None:
    if missing := missing_texts(campaign):
        raise Refused(_("Not approved yet: %(texts)s") % {"texts": "; ".join(missing)})


def _still_open(sums: Equation) -> str:
    left = [state for state in State if state in OPEN and sums.states[state]]
    states = ", ".join(f"{sums.states[state]} {LABELS[state]}" for state in left)
    return _("Still open: %(states)s. %(ended)d of %(selected)d letters have ended.") % {
        "states": states, "ended": sums.final, "selected": sums.selected,
    }  # fmt: skip


def _unbalanced(sums: Equation) -> str:
    return _("The equation does not balance: %(selected)d letters were selected, %(ended)d are found.") % {
        "selected": sums.selected, "ended": sums.final,
    }  # fmt: skip


def _locked(campaign: Campaign, act: str) -> Campaign:
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    if locked.sending not in FROM[act]:
        raise Refused(
            _("%(campaign)s is %(sending)s: “%(act)s” is not possible now.")
            % {"campaign": locked.slug, "sending": locked.get_sending_display(), "act": ACTS[act]}
        )
    return locked


def _switch(campaign: Campaign, sending: Campaign.Sending) -> None:
    campaign.sending = sending
    campaign.save(update_fields=["sending"])
