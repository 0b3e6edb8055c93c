"""A campaign in the admin: its facts, its closing equation, and the switch of its sending."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline

from letters import lifecycle, outbox
from letters.lifecycle import ACTS
from letters.models import Ask, Brake, Campaign, Letter, Organiser, Wave
from letters.models.delivery import LABELS
from letters.rules.ledger import FINAL, State

WAVES_SHOWN, BRAKES_SHOWN = 10, 3


class OrganiserInline(TabularInline):
    model = Organiser
    extra = 0
    autocomplete_fields = ["organisation"]


class AskInline(TabularInline):
    model = Ask
    extra = 0
    autocomplete_fields = ["not_for"]


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    list_display = ["slug", "signup", "sending", "opens_on", "closes_on", "rehearsal"]
    list_filter = ["signup", "sending"]
    search_fields = ["slug"]
    inlines = [OrganiserInline, AskInline]
    change_form_before_template = "admin/letters/campaign_board.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Addresses and references are made of the key; what decides on sending is for those who may send."""
        fixed = ["slug", "reference_prefix"] if obj else []
        may_send = request.user.has_perm("letters.send_campaign")
        pace = ["send_by", "doubt", "per_office_hour", "office_hours"]
        return ["sending", *fixed, *([] if may_send else pace)]

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:number>/act/<slug:name>/",
            self.admin_site.admin_view(self.act_view),
            name="letters_campaign_act",
        )
        return [act, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The campaign's page, with its board above the form."""
        campaign = Campaign.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        board = _board(campaign, may_send=request.user.has_perm("letters.send_campaign")) if campaign else {}
        kwargs["extra_context"] = (kwargs.get("extra_context") or {}) | {"board": board}
        return super().change_view(request, object_id, *args, **kwargs)

    def act_view(self, request: HttpRequest, number: int, name: str) -> HttpResponse:
        """GET says what would happen, to how many; POST does it."""
        if not request.user.has_perm("letters.send_campaign"):
            raise PermissionDenied
        if name not in ACTS:
            raise Http404
        campaign = get_object_or_404(Campaign, pk=number)
        back = reverse("admin:letters_campaign_change", args=[number])
        if request.method == "POST":
            try:
                lifecycle.act(campaign, name, by=request.user.get_username())
            except lifecycle.Refused as why:
                self.message_user(request, str(why), messages.ERROR)
            else:
                self.log_change(request, campaign, f"{name}")
                self.message_user(request, _("Done: %(act)s.") % {"act": ACTS[name]}, messages.SUCCESS)
            return redirect(back)
        context = self.admin_site.each_context(request) | {
            "title": f"{ACTS[name]}: {campaign}",
            "act": ACTS[name],
            "explanation": _explanation(campaign, name),
            "first": outbox.canary_size(_unposted(campaign)) if name in {"launch", "resume"} else 0,
            "missing": lifecycle.missing_texts(campaign) if name in {"ready", "launch"} else [],
            "canaries": lifecycle.canaries(campaign) if name == "go_on" else [],
            "back": back,
        }
        return render(request, "admin/letters/campaign_act.html", context)


def _board(campaign: Campaign, *, may_send: bool) -> dict[str, Any]:
    """The closing equation with links to its rows, waves, brakes, and the acts that are possible now."""
    sums = lifecycle.equation(campaign)
    canaries = {canary.wave.pk: canary for canary in lifecycle.canaries(campaign)}
    numbers = [
        {
            "label": LABELS[state],
            "count": sums.states[state],
            "url": _deliveries(campaign, state__exact=state),
            "final": state in FINAL,
        }
        for state in State
    ]
    acts = [
        {"label": label, "url": reverse("admin:letters_campaign_act", args=[campaign.pk, name])}
        for name, label in ACTS.items()
        if may_send and campaign.sending in lifecycle.FROM[name] and (name != "go_on" or canaries)
    ]
    return {
        "sums": sums,
        "numbers": numbers,
        "acts": acts,
        "campaign": campaign,
        "selected_url": _deliveries(campaign),
        "waves": [
            {
                "row": wave,
                "canary": canaries.get(wave.pk),
                "url": _deliveries(campaign, wave__id__exact=wave.pk),
            }
            for wave in Wave.objects.filter(campaign=campaign).order_by("-number")[:WAVES_SHOWN]
        ],
        "brakes": [_evidence(brake) for brake in Brake.objects.filter(campaign=campaign)[:BRAKES_SHOWN]],
    }


def _evidence(brake: Brake) -> dict[str, Any]:
    """A brake, with links to the deliveries for which it was pulled."""
    campaign = brake.campaign
    trusted = campaign.trusted_since is not None and campaign.trusted_since > brake.at
    return {
        "row": brake,
        "holds": campaign.sending == Campaign.Sending.PAUSED and not trusted,
        "url": _deliveries(campaign, id__in=",".join(map(str, brake.deliveries))),
        "links": [(pk, reverse("admin:letters_delivery_change", args=[pk])) for pk in brake.deliveries],
    }


def _deliveries(campaign: Campaign, **which: object) -> str:
    """The address of the list of a campaign's letters."""
    query = urlencode({"campaign__id__exact": campaign.pk, "kind__exact": "letter", **which})
    return f"{reverse('admin:letters_delivery_changelist')}?{query}"


def _unposted(campaign: Campaign) -> int:
    return Letter.objects.unposted().filter(campaign=campaign, round=campaign.round).count()


def _explanation(campaign: Campaign, name: str) -> str:
    """What an act would do, to how many."""
    sums = lifecycle.equation(campaign)
    unposted = _unposted(campaign)
    return {
        "ready": _("This says that every text is approved and the campaign may be launched. Nothing is sent "
                   "by it. %(count)d letters are confirmed so far.") % {"count": unposted},
        "launch": _("%(count)d confirmed letters are frozen as a wave and go out at the campaign's pace; "
                    "letters confirmed later follow by themselves.") % {"count": unposted},
        "go_on": _("%(count)d letters wait for the canary. They go out at the campaign's pace.")
        % {"count": sum(canary.waiting for canary in lifecycle.canaries(campaign))},
        "pause": _("%(count)d letters wait until you resume. What is being handed over right now still goes.")
        % {"count": sums.open},
        "resume": _("%(open)d waiting letters and %(count)d newly confirmed ones go out.")
        % {"open": sums.open, "count": unposted},
        "finish": _("%(open)d of %(selected)d letters are still open; a campaign finishes when none is.")
        % {"open": sums.open, "selected": sums.selected},
        "cancel": _("%(count)d letters that have not left are cancelled. This cannot be undone.")
        % {"count": sums.open},
    }[name]  # fmt: skip
