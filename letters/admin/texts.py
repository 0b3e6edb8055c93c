"""Texts in the admin: drafts are edited, approved by a second person, then never changed."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Max
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline

from contacts.admin import ReadOnly
from letters.loading import approve
from letters.models import Text, TextApproval


class ApprovalInline(ReadOnly, TabularInline):
    model = TextApproval
    extra = 0
    fields = ["who", "at"]
    readonly_fields = ["who", "at"]


@admin.register(Text)
class TextAdmin(ModelAdmin):
    list_display = ["campaign", "kind", "key", "language", "country", "version", "state", "title"]
    list_filter = ["campaign", "state", "kind", "language"]
    list_select_related = ["campaign", "country"]
    search_fields = ["title", "body", "key"]
    autocomplete_fields = ["campaign", "country"]
    readonly_fields = ["version", "state", "author"]
    actions = ["approve_texts", "new_versions"]
    inlines = [ApprovalInline]

    def has_change_permission(self, request: HttpRequest, obj: Text | None = None) -> bool:
        """Only drafts are edited."""
        return super().has_change_permission(request, obj) and (obj is None or obj.state == Text.State.DRAFT)

    def has_delete_permission(self, request: HttpRequest, obj: Text | None = None) -> bool:
        """Only drafts are deleted; what was used stays."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.state == Text.State.DRAFT)

    def save_model(self, request: HttpRequest, obj: Text, form: Any, change: bool) -> None:
        """Whoever wrote the words last is their author; an edit takes earlier approvals back."""
        obj.author = request.user
        with transaction.atomic():
            if not change:
                obj.version = _next_version(obj)
            super().save_model(request, obj, form, change)
            obj.approvals.all().delete()

    @admin.action(description=gettext_lazy("Approve (a second person)"), permissions=["approve"])
    def approve_texts(self, request: HttpRequest, queryset: Any) -> None:
        """Records my approval; a text is approved once two people stand behind it."""
        done = sum(approve(text, user=request.user) for text in queryset)
        waiting = len(queryset) - done
        if done:
            self.message_user(request, _("%(count)d texts are approved.") % {"count": done}, messages.SUCCESS)
        if waiting:
            self.message_user(
                request, _("%(count)d texts wait for another person.") % {"count": waiting}, messages.WARNING
            )

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("letters.approve_text")

    @admin.action(description=gettext_lazy("Make a new version to edit"), permissions=["add"])
    def new_versions(self, request: HttpRequest, queryset: Any) -> None:
        """Copies texts as drafts; the approved ones stay in use until the drafts are approved."""
        for text in queryset:
            text.pk, text.state, text.author = None, Text.State.DRAFT, request.user
            text.version = _next_version(text)
            text._state.adding = True
            text.save()
        self.message_user(request, _("New drafts: %(count)d.") % {"count": len(queryset)}, messages.SUCCESS)


def _next_version(text: Text) -> int:
    same = {name: getattr(text, name) for name in ("campaign", "kind", "key", "language", "country")}
    return (Text.objects.filter(**same).aggregate(last=Max("version"))["last"] or 0) + 1
