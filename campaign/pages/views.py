"""Public pages that need more than one storey."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from letters import showing
from letters.models import Campaign, Text


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The campaigns that have a story to show, open ones first."""
    shown = Campaign.objects.filter(texts__kind=Text.Kind.STORY, texts__state=Text.State.APPROVED).distinct()
    campaigns = list(shown.order_by("-signup", "-opens_on"))
    return render(request, "pages/home.html", {"campaigns": showing.cards(campaigns)})


@require_safe
def campaign(request: HttpRequest, slug: str) -> HttpResponse:
    """A campaign's page: story, asks, count, signers, organisers, the model letter."""
    row = get_object_or_404(Campaign, slug=slug)
    page = showing.campaign(row)
    context = {
        "campaign": page,
        "organisers": page["organisers"],
        "signers": showing.signers(row),
        "write_url": page["write_url"],
        "model_letter": showing.model_letter(row),
    }
    return render(request, "pages/campaign.html", context)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Whether this process can reach its database: 200 “ok”, else the error reaches the monitor as 500."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain", headers={"Cache-Control": "no-store"})
