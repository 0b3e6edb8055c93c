"""What a coordinator does in the admin: approve, settle, file. By POST, and by those who may."""

from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from letters import lifecycle
from letters.models import Delivery, Filing, Incoming, Reading
from letters.rules.ledger import State
from tests import builders

pytestmark = pytest.mark.django_db


def text_of(response):
    return response.content.decode()


# Texts


def on_texts(client, action, *texts):
    data = {"action": action, "_selected_action": [text.pk for text in texts]}
    return client.post(reverse("admin:letters_text_changelist"), data, follow=True)


def test_two_people_approve_a_text(client, sign_in):
    row = builders.campaign(approved=False)
    text = row.texts.filter(kind="letter", language="fr").get()
    for name, state in [("ana", "draft"), ("ana", "draft"), ("bo", "approved")]:
        sign_in("view_text", "change_text", "approve_text", name=name)
        on_texts(client, "approve_texts", text)
        text.refresh_from_db()
        assert text.state == state


def test_approving_is_a_right_of_its_own(client, sign_in):
    text = builders.campaign(approved=False).texts.first()
    sign_in("view_text", "change_text", "add_text", "delete_text")
    on_texts(client, "approve_texts", text)
    assert not text.approvals.exists()


def test_a_new_version_is_a_draft_beside_the_approved_text(client, peace, sign_in):
    user = sign_in("view_text", "add_text", "change_text")
    old = peace.texts.get(kind="letter", language="fr")
    on_texts(client, "new_versions", old)
    new = peace.texts.get(kind="letter", language="fr", version=2)
    assert (new.state, new.author, new.body) == ("draft", user, old.body)
    assert not new.approvals.exists()
    old.refresh_from_db()
    assert old.state == "approved"


def text_form(text, **changes):
    values = {
        "campaign": text.campaign_id, "kind": text.kind, "key": text.key, "language": text.language,
        "country": "", "title": text.title, "body": text.body, "extra": "{}",
        "approvals-TOTAL_FORMS": 0, "approvals-INITIAL_FORMS": 0,
    }  # fmt: skip
    return values | changes


def test_an_edit_takes_earlier_approvals_back(client, sign_in):
    text = builders.campaign(approved=False).texts.get(kind="letter", language="fr")
    user = sign_in("view_text", "change_text", "approve_text")
    text.approvals.create(user=User.objects.create_user("bo"))
    client.post(reverse("admin:letters_text_change", args=[text.pk]), text_form(text, title="Autre objet"))
    text.refresh_from_db()
    assert (text.title, text.author) == ("Autre objet", user)
    assert not text.approvals.exists()


def test_a_strange_placeholder_is_shown_with_its_place(client, sign_in):
    text = builders.campaign(approved=False).texts.get(kind="letter", language="fr")
    sign_in("view_text", "change_text")
    form = text_form(text, body="Bonjour\n{{ settings }}")
    page = text_of(client.post(reverse("admin:letters_text_change", args=[text.pk]), form))
    assert "line 2, column 1" in page
    text.refresh_from_db()
    assert "settings" not in text.body


def test_an_approved_text_cannot_be_edited_by_anybody(admin_client, peace):
    text = peace.texts.get(kind="letter", language="fr")
    here = reverse("admin:letters_text_change", args=[text.pk])
    assert 'name="body"' not in text_of(admin_client.get(here))
    assert admin_client.post(here, text_form(text, title="Autre")).status_code == 403
    assert (
        admin_client.post(reverse("admin:letters_text_delete", args=[text.pk]), {"post": "yes"}).status_code
        == 403
    )
    text.refresh_from_db()
    assert text.title != "Autre"


# Deliveries in doubt


@pytest.mark.parametrize(
    ("action", "becomes"), [("was_sent", "accepted"), ("was_not_sent", "failed"), ("send_again", "waiting")]
)
def test_a_person_settles_what_is_uncertain_and_nothing_else(client, peace, sign_in, action, becomes):
    lifecycle.launch(peace, by="ana")
    doubtful, sure = Delivery.objects.filter(kind="letter")
    builders.force(Delivery.objects.filter(pk=doubtful.pk), State.UNCERTAIN)
    builders.force(Delivery.objects.filter(pk=sure.pk), State.ACCEPTED)
    data = {"action": action, "_selected_action": [doubtful.pk, sure.pk]}
    here = reverse("admin:letters_delivery_changelist")

    sign_in("view_delivery", "change_delivery")
    client.post(here, data)
    doubtful.refresh_from_db()
    assert doubtful.state == State.UNCERTAIN

    sign_in("view_delivery", "send_campaign")
    page = text_of(client.post(here, data, follow=True))
    doubtful.refresh_from_db()
    sure.refresh_from_db()
    assert (doubtful.state, sure.state) == (becomes, State.ACCEPTED)
    assert "1 settled." in page
    assert "1 were not uncertain and stay." in page
    assert doubtful.events.get().detail == f"{becomes} by ana"


# Incoming mail


@pytest.fixture
def mail():
    row = Incoming.objects.create(
        raw=b"x", sha256="a" * 64, fingerprint="a", size=1, door="pipe", kind="human_reply", state="tray",
        subject="<script>alert('subject')</script>", sender="x@evil.example",
    )  # fmt: skip
    fields = {
        "text": "Dear Sir <script>alert('body')</script><img src=https://evil.example/x>",
        "attachments": [{"name": "<b>../../x.exe", "type": "application/x", "size": 10}],
    }
    Reading.objects.create(incoming=row, version=1, kind="human_reply", fields=fields, reasons=["<i>why"])
    return row


def test_a_strangers_markup_is_shown_as_text(admin_client, mail):
    for here in (
        reverse("admin:letters_incoming_change", args=[mail.pk]),
        reverse("admin:letters_incoming_changelist"),
    ):
        page = text_of(admin_client.get(here))
        assert "<script>alert(" not in page
        assert "<img src=https://evil" not in page
        assert "&lt;script&gt;alert(" in page
        assert "<b>../../" not in page


def test_a_reply_is_filed_by_its_reference_and_taken_back(client, peace, mail, sign_in):
    user = sign_in("view_incoming", "change_filing", "view_letter")
    letter = peace.letters.first()
    here = reverse("admin:letters_incoming_file", args=[mail.pk])
    for _ in range(2):
        client.post(here, {"reference": f" {letter.reference.lower()} "})
    filed = Filing.objects.get()
    assert (filed.letter, filed.method, filed.by) == (letter, "hand", user)
    mail.refresh_from_db()
    assert mail.state == "filed"

    undo = reverse("admin:letters_incoming_undo", args=[mail.pk, filed.pk])
    assert "Take back" in text_of(client.get(reverse("admin:letters_incoming_change", args=[mail.pk])))
    assert client.get(undo).status_code == 405
    client.post(undo)
    filed.refresh_from_db()
    mail.refresh_from_db()
    assert (filed.undone_by, mail.state) == (user, "tray")


@pytest.mark.parametrize("reference", ["UN75-FR-ZZZZ", "", "<script>", "unconfirmed"])
def test_an_unknown_reference_files_nothing(client, peace, mail, sign_in, reference):
    sign_in("view_incoming", "change_filing")
    if reference == "unconfirmed":  # no ministry has it; and it must be free to be forgotten
        reference = builders.unconfirmed(peace).reference
    page = text_of(
        client.post(
            reverse("admin:letters_incoming_file", args=[mail.pk]), {"reference": reference}, follow=True
        )
    )
    assert "No letter has the reference" in page
    assert "<script>" not in page.split("No letter has the reference")[1][:40]
    assert not Filing.objects.exists()


def test_filing_is_a_right_of_its_own(client, peace, mail, sign_in):
    sign_in("view_incoming", "view_filing")
    reference = peace.letters.first().reference
    answer = client.post(reverse("admin:letters_incoming_file", args=[mail.pk]), {"reference": reference})
    assert answer.status_code == 403
    assert not Filing.objects.exists()


class _Nesting(HTMLParser):
    """Counts forms inside forms: a browser drops them, and their buttons go elsewhere."""

    depth = nested = 0

    def handle_starttag(self, tag, attrs):
        self.depth += tag == "form"
        self.nested += tag == "form" and self.depth > 1

    def handle_endtag(self, tag):
        self.depth -= tag == "form"


def test_no_form_stands_inside_another(admin_client, peace, mail):
    Incoming.objects.filter(pk=mail.pk).update(state="tray")
    Filing.objects.create(
        incoming=mail, letter=peace.letters.first(), method="token", confidence=95, why="its reply address"
    )
    for page in (
        reverse("admin:letters_incoming_change", args=[mail.pk]),
        reverse("admin:letters_campaign_change", args=[peace.pk]),
    ):
        counted = _Nesting()
        counted.feed(text_of(admin_client.get(page)))
        assert counted.nested == 0, page
