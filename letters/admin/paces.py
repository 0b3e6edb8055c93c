"""How fast mail goes, in the admin: limits of domains and relays, and what slows them. It counts at once."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from contacts.addresses import AddressError, domain_of, envelope
from letters.models import Destination, RelayPace


class Steered(ModelAdmin):
    """What whoever may send changes, and others with the right to view see."""

    def has_steer_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("letters.send_campaign")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_steer_permission(request) or super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_steer_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_steer_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_steer_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Writes only what the person changed: workers write the other columns at the same time."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if "per_hour" in values:
            values["next_at"] = Now()  # nobody waits for a time that the old limit set
        if values:
            self.model.objects.filter(pk=obj.pk).update(**values)

    def log_all(self, request: HttpRequest, rows: QuerySet, what: str) -> None:
        """Writes an action into the history of each row, and tells how many there were."""
        for row in rows:
            self.log_change(request, row, what)
        self.message_user(request, _("Done: %(count)d.") % {"count": len(rows)}, messages.SUCCESS)


class DestinationForm(forms.ModelForm):
    """Takes a domain as people write it, in any script, and keeps it as claims look it up."""

    def clean_domain(self) -> str:
        try:
            return domain_of(envelope(f"a@{domain_of(self.cleaned_data['domain'].strip())}"))
        except AddressError:
            raise ValidationError(_("This is not a domain that mail can be sent to.")) from None


class Slowed(admin.SimpleListFilter):
    """Whether a domain asked us to slow down."""

    title = gettext_lazy("slowed")
    parameter_name = "slowed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("yes")), ("no", _("no"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "yes":
            return queryset.filter(gap__gt=0)
        return queryset.filter(gap=0) if self.value() == "no" else queryset


@admin.register(Destination)
class DestinationAdmin(Steered):
    form = DestinationForm
    list_display = ["domain", "per_hour", "connections", "pause", "why", "next_at"]
    list_filter = [Slowed]
    search_fields = ["domain"]
    fields = ["domain", "per_hour", "connections", "pause", "why", "next_at"]
    actions = ["forget_slowdown"]

    def get_fields(self, request: HttpRequest, obj: Destination | None = None) -> list[str]:
        """A new one has no timetable yet."""
        return self.fields if obj else ["domain", "per_hour", "connections"]

    def get_readonly_fields(self, request: HttpRequest, obj: Destination | None = None) -> list[str]:
        """The domain is the row's key: another domain is another row."""
        return ["pause", "why", "next_at", *(["domain"] if obj else [])]

    @admin.display(description=gettext_lazy("seconds between two, for now"), ordering="gap")
    def pause(self, row: Destination) -> str:
        return f"{row.gap:g}" if row.gap else "–"

    @admin.action(description=gettext_lazy("Forget the slow-down"), permissions=["steer"])
    def forget_slowdown(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Mail goes to these domains as before they asked us to slow down; limits of ours stay."""
        rows = list(queryset.filter(gap__gt=0))
        Destination.objects.filter(pk__in=[row.pk for row in rows]).update(gap=0, why="", next_at=Now())
        self.log_all(request, rows, "forgot the slow-down")


@admin.register(RelayPace)
class RelayPaceAdmin(Steered):
    """Its rows are made by the first worker that looks for something to send."""

    list_display = ["name", "connections", "per_hour", "rest", "trouble"]
    fields = ["name", "connections", "per_hour", "rest", "trouble"]
    readonly_fields = ["name", "rest", "trouble"]
    actions = ["try_again"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("rests until"), ordering="rest_until")
    def rest(self, row: RelayPace) -> str:
        return f"{row.rest_until:%Y-%m-%d %H:%M:%S} UTC" if row.rest_until > timezone.now() else "–"

    @admin.action(description=gettext_lazy("Try again now"), permissions=["steer"])
    def try_again(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Ends a rest; the very worker that met the trouble rests on, half a minute at most."""
        rows = list(queryset)
        RelayPace.objects.filter(pk__in=[row.pk for row in rows]).update(rest_until=Now())
        self.log_all(request, rows, "asked to try again")
