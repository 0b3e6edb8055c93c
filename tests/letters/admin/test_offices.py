"""Offices in and out through the admin: a dry run is shown first, then all rows or none."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from contacts.models import Office
from tests import builders

pytestmark = pytest.mark.django_db
HEAD = "country,email,source_url,checked_on\n"
GOOD = HEAD + (
    "FR,cabinet@mfa.fr.example,https://mfa.fr.example/contact,2026-01-31\n"
    "es,gabinete@mfa.es.example,https://mfa.es.example,2026-01-31\n"
)


@pytest.fixture(autouse=True)
def world(db):
    builders.known_world()


def upload(client, table):
    file = SimpleUploadedFile("offices.csv", table.encode(), "text/csv")
    return client.post(reverse("admin:contacts_office_import"), {"import_file": file, "format": "0"})


def addresses():
    return dict(Office.objects.exclude(email="").values_list("country", "email"))


def test_the_first_step_shows_what_would_change_and_changes_nothing(admin_client):
    page = upload(admin_client, GOOD)
    assert "cabinet@mfa.fr.example" in page.content.decode()
    assert page.context["confirm_form"] is not None
    assert addresses() == {}


def test_the_second_step_does_it(admin_client):
    form = upload(admin_client, GOOD).context["confirm_form"]
    admin_client.post(reverse("admin:contacts_office_process_import"), form.initial, follow=True)
    assert addresses() == {"FR": "cabinet@mfa.fr.example", "ES": "gabinete@mfa.es.example"}
    assert Office.objects.filter(country="FR").count() == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("XX,a@b.example,https://x.example,2026-01-31", "Unknown country code"),
        ("DE,no address,https://x.example,2026-01-31", "email"),
        ("DE,a@b.example,,2026-01-31", "source"),
        ("DE,a@b.example,https://x.example,2999-01-01", "future"),
        ("DE,a@b.example,https://x.example,31.1.2026", "checked_on"),
        ("DE,a@b.example,<script>alert(1)</script>,2026-01-31", "source_url"),
    ],
)
def test_one_bad_row_stops_all(admin_client, row, said):
    answer = upload(admin_client, GOOD + row + "\n")
    page = answer.content.decode()
    assert answer.context.get("confirm_form") is None
    assert said in page
    assert "<script>alert(1)" not in page
    assert addresses() == {}


@pytest.mark.parametrize("table", ["", "a;b\n1;2\n", "\x00\x01\x02", '"', HEAD])
def test_what_is_no_table_is_said_not_raised(admin_client, table):
    assert upload(admin_client, table).status_code == 200
    assert addresses() == {}


def test_an_export_holds_no_formulas_and_can_be_imported_again(admin_client):
    office = builders.office("FR")
    office.note, office.postal_address = "=HYPERLINK(1)", "+33 1"
    office.save()
    data = {"format": "0", "resource": "", **dict.fromkeys(fields(admin_client), "on")}
    answer = admin_client.post(reverse("admin:contacts_office_export"), data)
    exported = answer.content.decode()
    row = next(one for one in csv.DictReader(io.StringIO(exported)) if one["country"] == "FR")
    assert (row["note"], row["postal_address"]) == ("'=HYPERLINK(1)", "'+33 1")
    assert not [
        cell for one in csv.reader(io.StringIO(exported)) for cell in one if cell[:1] in set("=+-@\t\r")
    ]

    Office.objects.filter(country="FR").update(note="", postal_address="")
    form = upload(admin_client, exported).context["confirm_form"]
    admin_client.post(reverse("admin:contacts_office_process_import"), form.initial)
    office.refresh_from_db()
    assert (office.note, office.postal_address) == ("=HYPERLINK(1)", "+33 1")


def fields(client):
    """The names of the check boxes with which columns are chosen, where the page has them."""
    form = client.get(reverse("admin:contacts_office_export")).context["form"]
    return [name for name in form.fields if name not in {"format", "resource", "export_items"}]


@pytest.mark.parametrize(
    ("rights", "may_import", "may_export"),
    [
        ((), False, False),
        (("view_office",), False, True),
        (("view_office", "change_office"), False, True),
        (("view_office", "add_office", "change_office"), True, True),
    ],
)
def test_importing_takes_the_rights_of_adding_and_changing(client, rights, may_import, may_export):
    ana = User.objects.create_user("ana", is_staff=True)
    ana.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(ana)
    for name, allowed in [("import", may_import), ("process_import", may_import), ("export", may_export)]:
        answer = client.post(reverse(f"admin:contacts_office_{name}"), {})
        assert (answer.status_code != 403) == allowed, name
    assert (upload(client, GOOD).status_code == 200) == may_import
