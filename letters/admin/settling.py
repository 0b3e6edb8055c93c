"""Deliveries in doubt, in the admin: why nobody can know, what can be decided, and what each choice means."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from letters.models import Delivery
from letters.rules.ledger import State
from letters.sending import recovery


@dataclass(frozen=True)
class Choice:
    """One way to settle a doubt: the state that it leads to (None: it stays), and what that means."""

    target: State | None
    label: Promise
    meaning: Promise


CHOICES = {
    "was_sent": Choice(
        State.ACCEPTED,
        gettext_lazy("It was sent"),
        gettext_lazy("You found it in the relay's log, or the recipient has it. It counts as accepted."),
    ),
    "was_not_sent": Choice(
        State.FAILED,
        gettext_lazy("It was not sent, give up"),
        gettext_lazy(
            "You know that the relay never took it, and it shall not go any more. It counts as failed."
        ),
    ),
    "send_again": Choice(
        State.WAITING,
        gettext_lazy("Send it again"),
        gettext_lazy(
            "It goes when its turn comes, under the same Message-ID. If the first one arrived too, the"
            " recipient may get it twice."
        ),
    ),
    "wait": Choice(
        None,
        gettext_lazy("Wait"),
        gettext_lazy(
            "Nothing is decided. It is shown again in a few days, if no bounce or answer settles it before."
        ),
    ),
}


class InDoubt(admin.SimpleListFilter):
    """Deliveries in doubt: those to be decided, and those that a person put off."""

    title = gettext_lazy("in doubt")
    parameter_name = "doubt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("to be decided")), ("later", _("put off"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        doubtful = queryset.filter(state=State.UNCERTAIN)
        if self.value() == "now":
            return doubtful.filter(due_at__lte=Now())
        return doubtful.filter(due_at__gt=Now()) if self.value() == "later" else queryset


class Settling:
    """Adds the choices to the admin of deliveries: actions on the list, buttons on the page of one."""

    actions = ["was_sent", "was_not_sent", "send_again", "wait"]
    change_form_outer_before_template = "admin/letters/delivery_doubt.html"

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("letters.send_campaign")

    @admin.action(description=gettext_lazy("Uncertain: it was sent"), permissions=["settle"])
    def was_sent(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._settle(request, queryset, State.ACCEPTED)

    @admin.action(description=gettext_lazy("Uncertain: it was not sent, give up"), permissions=["settle"])
    def was_not_sent(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._settle(request, queryset, State.FAILED)

    @admin.action(description=gettext_lazy("Uncertain: send it again"), permissions=["settle"])
    def send_again(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._settle(request, queryset, State.WAITING)

    @admin.action(description=gettext_lazy("Uncertain: wait"), permissions=["settle"])
    def wait(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._settle(request, queryset, None)

    @admin.display(description=gettext_lazy("if in doubt"))
    def policy(self, delivery: Delivery) -> str:
        """The campaign's rule for letters of which nobody can know whether they left."""
        return delivery.campaign.get_doubt_display() if delivery.campaign else "–"

    def get_urls(self) -> list[URLPattern]:
        settle = path(
            "<int:number>/settle/<slug:name>/",
            self.admin_site.admin_view(require_POST(self.settle_view)),
            name="letters_delivery_settle",
        )
        return [settle, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The delivery's page; while it is in doubt, with why, and the choices."""
        rows = Delivery.objects.select_related("campaign").filter(state=State.UNCERTAIN)
        doubted = rows.filter(pk=object_id).first() if object_id.isdecimal() else None
        extra = {"doubted": doubted, "choices": self._choices(request, doubted) if doubted else []}
        kwargs["extra_context"] = (kwargs.get("extra_context") or {}) | extra
        return super().change_view(request, object_id, *args, **kwargs)

    def settle_view(self, request: HttpRequest, number: int, name: str) -> HttpResponse:
        """Does what a button says."""
        if not self.has_settle_permission(request):
            raise PermissionDenied
        if name not in CHOICES:
            raise Http404
        delivery = get_object_or_404(Delivery, pk=number)
        self._settle(request, Delivery.objects.filter(pk=delivery.pk), CHOICES[name].target)
        return redirect("admin:letters_delivery_change", number)

    def _choices(self, request: HttpRequest, delivery: Delivery) -> list[dict[str, Any]]:
        allowed = self.has_settle_permission(request)
        return [
            {
                "label": choice.label,
                "meaning": choice.meaning,
                "url": reverse("admin:letters_delivery_settle", args=[delivery.pk, name]) if allowed else "",
            }
            for name, choice in CHOICES.items()
        ]

    def _settle(self, request: HttpRequest, queryset: QuerySet, target: State | None) -> None:
        by, asked = request.user.get_username(), queryset.count()
        doubtful = list(queryset.filter(state=State.UNCERTAIN))
        done = sum(recovery.settle(delivery, target, by=by) for delivery in doubtful)
        said = _("%(count)d settled.") if target else _("%(count)d are shown again in %(days)d days.")
        values = {"count": done, "days": recovery.WAIT_DAYS}
        self.message_user(request, said % values, messages.SUCCESS)
        if left := asked - done:
            self.message_user(
                request, _("%(count)d were not uncertain and stay.") % {"count": left}, messages.WARNING
            )
