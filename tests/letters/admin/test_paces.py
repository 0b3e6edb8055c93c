"""Limits of domains and relays in the admin: changed by who may send, seen by others, in force at once."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from letters.models import Destination, RelayPace
from letters.models.clock import database_time

pytestmark = pytest.mark.django_db
LIST = "admin:letters_{}_changelist"
LATER = timedelta(hours=1)


def url(model, name, *args):
    return reverse(f"admin:letters_{model}_{name}", args=args)


def text_of(response):
    return response.content.decode()


def limits(**changes):
    return {"per_hour": "", "connections": ""} | changes


def act(client, model, action, *rows, method="post"):
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return getattr(client, method)(url(model, "changelist"), data, follow=True)


@pytest.fixture
def slowed():
    return Destination.objects.create(
        domain="mfa.fr.example", gap=16, why="4.7.1 greylisted", next_at=timezone.now() + LATER, per_hour=60
    )


@pytest.fixture
def resting():
    return RelayPace.objects.create(
        name="letters", rest_until=timezone.now() + LATER, trouble="421 too many", per_hour=100
    )


# Domains


def test_a_new_domain_is_asked_for_its_limits_alone(client, sign_in):
    sign_in("send_campaign")
    page = text_of(client.get(url("destination", "add")))
    assert "DatabaseDefault" not in page
    assert 'name="per_hour"' in page


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("MFA.fr.Example", "mfa.fr.example"),
        (" @mfa.fr.example ", "mfa.fr.example"),
        ("cabinet@mfa.fr.example", "mfa.fr.example"),
        ("Straße.example", "xn--strae-oqa.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_domain_is_kept_as_claims_look_it_up(client, sign_in, typed, kept):
    sign_in("send_campaign")
    client.post(url("destination", "add"), {"domain": typed, **limits(per_hour=30, connections=2)})
    row = Destination.objects.get()
    assert (row.domain, row.per_hour, row.connections, row.gap) == (kept, 30, 2, 0)


@pytest.mark.parametrize(
    "typed",
    ["", " ", "https://mfa.example/", "mfa", "mfa example", "a..example", "x" * 64 + ".example", "\u2028"],
)
def test_what_is_no_domain_is_said(client, sign_in, typed):
    sign_in("send_campaign")
    answer = client.post(url("destination", "add"), {"domain": typed, **limits()})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["domain"]
    assert not Destination.objects.exists()


def test_a_domain_that_is_there_is_not_added_again(client, sign_in, slowed):
    sign_in("send_campaign")
    answer = client.post(url("destination", "add"), {"domain": "MFA.FR.EXAMPLE", **limits(per_hour=1)})
    assert "already exists" in text_of(answer)
    slowed.refresh_from_db()
    assert (slowed.per_hour, slowed.gap) == (60, 16)


@pytest.mark.parametrize(("name", "value"), [("per_hour", 0), ("connections", 201), ("per_hour", "many")])
def test_impossible_limits_are_refused(client, sign_in, slowed, name, value):
    sign_in("send_campaign")
    here = url("destination", "change", slowed.pk)
    assert client.post(here, limits(**{name: value})).context["adminform"].form.errors[name]


def test_a_changed_limit_leaves_the_workers_columns_alone_and_counts_at_once(client, sign_in, slowed):
    sign_in("send_campaign")
    client.post(url("destination", "change", slowed.pk), limits(per_hour=3600, domain="other.example"))
    row = Destination.objects.get()
    assert (row.domain, row.per_hour, row.gap, row.why) == ("mfa.fr.example", 3600, 16, "4.7.1 greylisted")
    assert row.next_at <= database_time()


def test_the_slow_down_is_forgotten_and_our_own_limit_stays(client, sign_in, slowed):
    user = sign_in("send_campaign")
    other = Destination.objects.create(domain="calm.example")
    page = text_of(act(client, "destination", "forget_slowdown", slowed, other))
    assert "Done: 1." in page
    slowed.refresh_from_db()
    assert (slowed.gap, slowed.why, slowed.per_hour) == (0, "", 60)
    assert slowed.next_at <= database_time()
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (user, slowed.pk)


def test_slowed_domains_are_listed(client, sign_in, slowed):
    sign_in("view_destination")
    Destination.objects.create(domain="calm.example")
    for choice, there in [("yes", [True, False]), ("no", [False, True])]:
        page = text_of(client.get(url("destination", "changelist"), {"slowed": choice}))
        assert [name in page for name in ("mfa.fr.example", "calm.example")] == there


def test_a_limit_is_taken_away(client, sign_in, slowed):
    sign_in("send_campaign")
    client.post(url("destination", "delete", slowed.pk), {"post": "yes"})
    assert not Destination.objects.exists()


# Relays


def test_a_relays_limits_change_and_its_rest_does_not(client, sign_in, resting):
    sign_in("send_campaign")
    here = url("relaypace", "change", resting.pk)
    client.post(here, {"connections": 4, "per_hour": "", "name": "other", "trouble": ""})
    row = RelayPace.objects.get()
    assert (row.name, row.connections, row.per_hour) == ("letters", 4, None)
    assert (row.rest_until, row.trouble) == (resting.rest_until, "421 too many")


def test_a_rest_is_shown_and_ended(client, sign_in, resting):
    sign_in("send_campaign")
    page = text_of(client.get(url("relaypace", "change", resting.pk)))
    assert "421 too many" in page
    assert f"{resting.rest_until:%Y-%m-%d %H:%M:%S} UTC" in page
    act(client, "relaypace", "try_again", resting)
    resting.refresh_from_db()
    assert resting.rest_until <= database_time()
    assert LogEntry.objects.get().object_id == "letters"


def test_relays_are_neither_added_nor_deleted(admin_client, resting):
    assert admin_client.get(url("relaypace", "add")).status_code == 403
    assert admin_client.post(url("relaypace", "delete", resting.pk), {"post": "yes"}).status_code == 403
    assert RelayPace.objects.exists()


# Rights


@pytest.mark.parametrize(
    ("rights", "may_see", "may_change"),
    [
        ((), False, False),
        (("view_letter",), False, False),
        (("view_destination", "view_relaypace"), True, False),
        (("change_destination", "add_destination", "delete_destination", "change_relaypace"), True, False),
        (("send_campaign",), True, True),
    ],
)
def test_whoever_may_send_changes_and_whoever_may_view_sees(
    client, sign_in, slowed, resting, rights, may_see, may_change
):
    sign_in(*rights)
    for model, row in (("destination", slowed), ("relaypace", resting)):
        assert (client.get(url(model, "changelist")).status_code == 200) == may_see
        assert (client.get(url(model, "change", row.pk)).status_code == 200) == may_see
        posted = client.post(url(model, "change", row.pk), {"connections": 3, "per_hour": 7})
        row.refresh_from_db()
        assert (posted.status_code == 302, row.per_hour == 7) == (may_change, may_change)
    assert (client.get(url("destination", "add")).status_code == 200) == may_change
    act(client, "destination", "forget_slowdown", slowed)
    act(client, "relaypace", "try_again", resting)
    slowed.refresh_from_db()
    resting.refresh_from_db()
    assert (slowed.gap == 0, resting.rest_until <= database_time()) == (may_change, may_change)
    client.post(url("destination", "delete", slowed.pk), {"post": "yes"})
    assert Destination.objects.exists() != may_change


def test_nothing_changes_on_get(client, sign_in, slowed, resting):
    sign_in("send_campaign")
    act(client, "destination", "forget_slowdown", slowed, method="get")
    act(client, "relaypace", "try_again", resting, method="get")
    client.get(url("destination", "delete", slowed.pk))
    client.get(url("destination", "change", slowed.pk), limits(per_hour=1))
    slowed.refresh_from_db()
    resting.refresh_from_db()
    assert (slowed.gap, slowed.per_hour) == (16, 60)
    assert resting.rest_until > database_time()


def test_strangers_words_are_shown_as_text(admin_client, slowed, resting):
    Destination.objects.update(why="<script>alert(1)</script>")
    RelayPace.objects.update(trouble="<script>alert(1)</script>")
    for model, row in (("destination", slowed), ("relaypace", resting)):
        for here in (url(model, "changelist"), url(model, "change", row.pk)):
            page = text_of(admin_client.get(here))
            assert "<script>alert(1)" not in page
            assert "&lt;script&gt;alert(1)" in page
