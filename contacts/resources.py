"""Offices in and out by CSV or XLSX, with django-import-export: dry run, row errors, all or nothing."""

from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from import_export import fields, resources, widgets

from contacts.models import Country, Office

FORMULA = ("=", "+", "-", "@", "\t", "\r")
QUOTED = (*FORMULA, "'")  # after an apostrophe of ours, or one that would be taken for ours
COLUMNS = ("country", "kind", "label", "email", "source_url", "checked_on", "postal_address", "note", "state")


class SafeText(widgets.CharWidget):
    """Text that stays text in a spreadsheet: a formula sign gets an apostrophe, taken off on import."""

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        text = super().render(value, obj, **kwargs) or ""
        quoted = text.startswith("'") and text[1:2] in QUOTED
        return f"'{text}" if quoted or text.startswith(FORMULA) else text

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> str:
        text = super().clean(value, row, **kwargs) or ""
        return text[1:] if text.startswith("'") and text[1:2] in QUOTED else text


class CountryWidget(widgets.ForeignKeyWidget):
    """A State by its code, in either letter case. Raises ValueError for one that is not known."""

    def __init__(self) -> None:
        super().__init__(Country, "code")

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Country:
        code = str(value or "").strip().upper()
        country = Country.objects.filter(pk=code).first()
        if country is None:
            raise ValueError(
                _("Unknown country code “%(code)s”: use two letters such as FR.") % {"code": code}
            )
        return country


class DateWidget(widgets.DateWidget):
    """A date as 2026-11-23. Raises ValueError for any other way of writing it, and for the future."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> date | None:
        found = super().clean(value, row, **kwargs)
        if found and found > timezone.now().date():
            raise ValueError(_("The date of the check lies in the future: %(date)s.") % {"date": found})
        return found


class OfficeResource(resources.ModelResource):
    """One row an office, known by country, kind and label. A row that changes nothing is skipped."""

    country = fields.Field("country", "country", CountryWidget())
    kind = fields.Field("kind", "kind", SafeText(), default=Office.Kind.MINISTRY)
    label = fields.Field("label", "label", SafeText(), default="")
    email = fields.Field("email", "email", SafeText())
    source_url = fields.Field("source_url", "source_url", SafeText())
    checked_on = fields.Field("checked_on", "checked_on", DateWidget(format="%Y-%m-%d"))
    postal_address = fields.Field("postal_address", "postal_address", SafeText())
    note = fields.Field("note", "note", SafeText())
    state = fields.Field("state", "state", SafeText(), default=Office.State.OPEN)

    class Meta:
        model = Office
        fields = COLUMNS
        export_order = COLUMNS
        import_id_fields = ("country", "kind", "label")
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        use_transactions = True
        use_bulk = False

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        """Raises ValueError when columns are missing or strange: nothing is guessed from their order."""
        self.seen: set[tuple[str, str, str]] = set()
        headers = [str(header or "").strip().lower() for header in dataset.headers or []]
        dataset.headers = headers
        if missing := [
            name for name in ("country", "email", "source_url", "checked_on") if name not in headers
        ]:
            raise ValueError(_("Columns are missing: %(names)s.") % {"names": ", ".join(missing)})
        if strange := [name for name in headers if name not in COLUMNS]:
            raise ValueError(
                _("Unknown columns: %(names)s. Known are: %(known)s.")
                % {"names": ", ".join(strange), "known": ", ".join(COLUMNS)}
            )
        if len(set(headers)) < len(headers):
            raise ValueError(_("A column stands there twice."))
        for name in ("kind", "label"):
            if name not in headers:
                dataset.append_col([""] * dataset.height, header=name)

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        """Fills in what may be left out: a ministry, without a label. Refuses a second row for one office."""
        row["kind"] = str(row.get("kind") or Office.Kind.MINISTRY).strip().lower()
        row["label"] = str(row.get("label") or "").strip()
        if "state" in row:
            row["state"] = str(row["state"] or Office.State.OPEN).strip().lower()
        office = (str(row.get("country") or "").strip().upper(), row["kind"], row["label"])
        if office in self.seen:
            raise ValidationError(_("An earlier row is about the same office."))
        self.seen.add(office)
