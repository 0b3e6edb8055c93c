"""Incoming mail in the admin: shown as text, with why it was filed where it is; filed by hand too."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display

from letters import filing
from letters.admin.ledger import Large
from letters.models import Filing, Incoming, Letter, Reading

KIND_COLOURS = {
    "human_reply": "success",
    "auto_reply": "info",
    "bounce_hard": "danger",
    "bounce_soft": "warning",
}


@admin.register(Incoming)
class IncomingAdmin(Large):
    list_display = ["subject_line", "sender", "kind_label", "state", "filed_under", "received_at"]
    list_filter = ["state", "kind", "door"]
    search_fields = ["subject", "sender", "=sha256"]
    fields = [
        "sender",
        "envelope_from",
        "envelope_to",
        "received_at",
        "kind",
        "state",
        "door",
        "size",
        "sha256",
    ]
    readonly_fields = fields
    change_form_outer_after_template = "admin/letters/incoming_text.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("raw").prefetch_related("filings__letter")

    @display(description=gettext_lazy("subject"), ordering="subject")
    def subject_line(self, row: Incoming) -> str:
        return row.subject or _("(no subject)")

    @display(description=gettext_lazy("kind"), label=KIND_COLOURS, ordering="kind")
    def kind_label(self, row: Incoming) -> tuple[str, str]:
        return (row.kind, str(Reading.Kind(row.kind).label)) if row.kind else ("", "–")

    @display(description=gettext_lazy("filed under"))
    def filed_under(self, row: Incoming) -> str:
        return ", ".join(one.letter.reference for one in row.filings.all() if one.undone_at is None) or "–"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:number>/file/", wrap(require_POST(self.file_view)), name="letters_incoming_file"),
            path(
                "<int:number>/undo/<int:filed>/",
                wrap(require_POST(self.undo_view)),
                name="letters_incoming_undo",
            ),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The message as text, what was read in it, and where it is filed."""
        row = Incoming.objects.defer("raw").filter(pk=object_id).first() if object_id.isdecimal() else None
        reading = row.readings.first() if row else None
        filings = row.filings.select_related("letter__country", "letter__campaign") if row else []
        extra = {"reading": reading, "filings": filings, "may_file": _may_file(request), "incoming": row}
        kwargs["extra_context"] = (kwargs.get("extra_context") or {}) | extra
        return super().change_view(request, object_id, *args, **kwargs)

    def file_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Files a message under the letter whose reference was typed."""
        self._check(request)
        row = get_object_or_404(Incoming.objects.defer("raw"), pk=number)
        reference = request.POST.get("reference", "").strip().upper()
        letter = Letter.objects.filter(reference=reference).exclude(confirmed_at=None).first()
        if letter is None:
            self.message_user(
                request, _("No letter has the reference “%(one)s”.") % {"one": reference}, messages.ERROR
            )
        else:
            filing.file_by_hand(row, letter, user=request.user)
            self.message_user(request, _("Filed under %(one)s.") % {"one": reference}, messages.SUCCESS)
        return redirect("admin:letters_incoming_change", number)

    def undo_view(self, request: HttpRequest, number: int, filed: int) -> HttpResponse:
        """Takes a filing back."""
        self._check(request)
        filing.undo(get_object_or_404(Filing, pk=filed, incoming=number), user=request.user)
        self.message_user(request, _("Taken back."), messages.SUCCESS)
        return redirect("admin:letters_incoming_change", number)

    def _check(self, request: HttpRequest) -> None:
        if not _may_file(request):
            raise PermissionDenied


def _may_file(request: HttpRequest) -> bool:
    return request.user.has_perm("letters.change_filing")
