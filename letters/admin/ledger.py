"""Letters and deliveries in the admin: read, searched, and settled where in doubt; never edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from contacts.admin import ReadOnly
from letters import previewing
from letters.admin.settling import InDoubt, Settling
from letters.models import Delivery, DeliveryEvent, Filing, Letter


class Large(ReadOnly, ModelAdmin):
    """A table that is never counted: its pages have a next and a previous, no total."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50


class DeliveryInline(ReadOnly, TabularInline):
    model = Delivery
    extra = 0
    fields = ["kind", "recipient", "state", "reason", "outcome", "finished_at"]
    readonly_fields = ["finished_at"]
    show_change_link = True


class FilingInline(ReadOnly, TabularInline):
    model = Filing
    extra = 0
    fields = ["mail", "method", "confidence", "verified", "why", "at"]
    readonly_fields = ["mail", "at"]

    @admin.display(description=gettext_lazy("mail"))
    def mail(self, filing: Filing) -> SafeString:
        url = reverse("admin:letters_incoming_change", args=[filing.incoming_id])
        return format_html('<a href="{}">{}</a>', url, filing.incoming)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("incoming").defer("incoming__raw")


@admin.register(Letter)
class LetterAdmin(Large):
    list_display = ["reference", "signer_name", "country", "language", "state", "where", "created_at"]
    list_filter = ["campaign", "state", "language", "country__group"]
    list_select_related = ["country", "campaign"]
    search_fields = ["=reference", "=reply_token", "signer_name", "=address_key"]
    inlines = [DeliveryInline, FilingInline]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "reference",
                    "campaign",
                    "state",
                    "country",
                    "office",
                    "language",
                    "courtesy",
                    "number",
                ]
            },
        ),
        (
            gettext_lazy("Signer"),
            {"fields": ["supporter", "signer_name", "signer_email", "city", "organisation"]},
        ),
        (gettext_lazy("Letter"), {"fields": ["whole_letter"]}),
        (gettext_lazy("Times"), {"fields": ["created_at", "confirmed_at"]}),
    ]
    readonly_fields = ["whole_letter", "reference", "number", "created_at", "confirmed_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("deliveries")

    @admin.display(description=gettext_lazy("delivery"))
    def where(self, letter: Letter) -> str:
        """Where its delivery is, with its outcome."""
        rows = [row for row in letter.deliveries.all() if row.kind == Delivery.Kind.LETTER]
        return ", ".join(_standing(row) for row in rows) or "–"

    @admin.display(description=gettext_lazy("as sent"))
    def whole_letter(self, letter: Letter) -> SafeString:
        """The letter as it will be sent, or was."""
        shown = previewing.stored(letter)
        return format_html(
            '<strong>{}</strong><div lang="{}" dir="{}" class="as-written">{}</div>',
            shown["subject"], shown["language"], shown["dir"], shown["text"],
        )  # fmt: skip


class EventInline(ReadOnly, TabularInline):
    model = DeliveryEvent
    extra = 0
    fields = ["at", "what", "detail", "source"]
    readonly_fields = ["at"]


@admin.register(Delivery)
class DeliveryAdmin(Settling, Large):
    list_display = [
        "id",
        "kind",
        "reference",
        "recipient",
        "state",
        "outcome",
        "reason",
        "attempts",
        "due_at",
    ]
    list_filter = ["state", InDoubt, "outcome", "kind", "campaign"]
    list_select_related = ["letter", "campaign"]
    search_fields = ["=message_id", "=letter__reference", "=recipient"]
    inlines = [EventInline]
    exclude = ["form"]
    readonly_fields = ["policy", "created_at", "submitted_at", "finished_at"]

    @admin.display(description=gettext_lazy("letter"))
    def reference(self, delivery: Delivery) -> SafeString | str:
        if delivery.letter_id is None:
            return "–"
        url = reverse("admin:letters_letter_change", args=[delivery.letter_id])
        return format_html('<a href="{}">{}</a>', url, delivery.letter.reference)


def _standing(delivery: Delivery) -> str:
    outcome = f", {delivery.get_outcome_display()}" if delivery.outcome else ""
    return f"{delivery.get_state_display()}{outcome}"
