"""Contacts in the admin: countries, offices (import and export), organisations, supporters, suppressions."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from import_export.admin import ExportMixin, ImportMixin
from import_export.formats.base_formats import CSV, XLSX
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.import_export.forms import ExportForm, ImportForm
from unfold.paginator import InfinitePaginator

from contacts import consent
from contacts.addresses import AddressError
from contacts.importing import MAX_BYTES
from contacts.models import (
    Consent,
    Country,
    CountryPhrases,
    Office,
    OfficeHolder,
    Organisation,
    OrganisationAbout,
    SalutationForm,
    Supporter,
    Suppression,
)
from contacts.resources import OfficeResource


class PhrasesInline(TabularInline):
    model = CountryPhrases
    extra = 0
    tab = True


@admin.register(Country)
class CountryAdmin(ModelAdmin):
    list_display = ["name", "code", "group", "letter_languages", "enabled"]
    list_filter = ["enabled", "group", "status"]
    search_fields = ["name", "code", "iso3", "phrases__name"]
    list_per_page = 200
    inlines = [PhrasesInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Country | None = None) -> list[str]:
        return ["code"] if obj else []


class HolderInline(TabularInline):
    model = OfficeHolder
    extra = 0


class SmallImportForm(ImportForm):
    """Refuses a file larger than any list of offices before it is read into memory."""

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_BYTES:
            raise ValidationError(_("The file is too large."))
        return file


class HasAddress(admin.SimpleListFilter):
    """Whether an office can be written to."""

    title = _("address")
    parameter_name = "address"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("has one")), ("no", _("has none"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "yes":
            return queryset.exclude(email="")
        return queryset.filter(email="") if self.value() == "no" else queryset


@admin.register(Office)
class OfficeAdmin(ImportMixin, ExportMixin, ModelAdmin):
    resource_classes = [OfficeResource]
    import_form_class = SmallImportForm
    export_form_class = ExportForm
    import_formats = [CSV]
    export_formats = [CSV, XLSX]
    list_display = ["country", "kind", "label", "email", "checked_on", "state"]
    list_filter = [HasAddress, "state", "kind", "country__group"]
    search_fields = ["country__name", "country__code", "email", "label"]
    list_select_related = ["country"]
    autocomplete_fields = ["country"]
    inlines = [HolderInline]

    def has_import_permission(self, request: HttpRequest) -> bool:
        """Whoever may add and change offices one by one; django-import-export itself asks for nothing."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


@admin.register(OfficeHolder)
class OfficeHolderAdmin(ModelAdmin):
    list_display = ["name", "office", "gender", "verified_on", "is_stale", "is_usable"]
    list_select_related = ["office__country"]
    search_fields = ["name", "office__country__name"]
    autocomplete_fields = ["office"]

    @admin.display(description=_("to be verified again"), boolean=True)
    def is_stale(self, holder: OfficeHolder) -> bool:
        return holder.stale(timezone.now().date())

    @admin.display(description=_("may stand in a letter"), boolean=True)
    def is_usable(self, holder: OfficeHolder) -> bool:
        return holder.usable(timezone.now().date())


@admin.register(SalutationForm)
class SalutationFormAdmin(ModelAdmin):
    list_display = ["salutation", "closing", "language", "gender", "country", "holder"]
    list_filter = ["language", "gender"]
    list_select_related = ["country", "holder"]
    autocomplete_fields = ["country", "holder"]


class AboutInline(TabularInline):
    model = OrganisationAbout
    extra = 0


@admin.register(Organisation)
class OrganisationAdmin(ModelAdmin):
    list_display = ["name", "email", "website", "is_controller"]
    search_fields = ["name", "slug"]
    inlines = [AboutInline]


class ReadOnly:
    """Rows that people read here and machines write."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConsentInline(ReadOnly, TabularInline):
    model = Consent
    extra = 0
    fields = ["purpose", "act", "wording", "language", "at"]
    readonly_fields = ["at"]


@admin.register(Supporter)
class SupporterAdmin(ReadOnly, ModelAdmin):
    list_display = ["name", "email", "language", "country", "created_at"]
    list_filter = ["language"]
    search_fields = ["name", "=address_key", "email"]
    list_select_related = ["country"]
    readonly_fields = ["created_at"]
    paginator = InfinitePaginator
    show_full_result_count = False
    inlines = [ConsentInline]


@admin.register(Suppression)
class SuppressionAdmin(ReadOnly, ModelAdmin):
    list_display = ["__str__", "scope", "reason", "created_at"]
    search_fields = ["address_hash"]
    search_help_text = _("A whole address: it is kept as a keyed hash only.")
    list_filter = ["scope", "reason"]
    readonly_fields = ["created_at"]
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Finds an address by its hash. What is no address finds nothing."""
        if not search_term:
            return queryset, False
        try:
            return queryset.filter(address_hash=consent.fingerprint(search_term)), False
        except AddressError:
            return queryset.none(), False
