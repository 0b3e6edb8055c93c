"""The browser and the site of its own work together."""

import pytest


def test_an_unknown_page_says_so_in_every_look(page):
    answer = page.goto("/there-is-no-such-page/")
    assert answer.status == 404
    assert page.title()


@pytest.mark.looks("plain")
def test_without_javascript_no_script_runs(page):
    page.set_content("<p>before</p><script>document.body.textContent = 'after'</script>")
    assert page.inner_text("body") == "before"


def test_mail_of_the_site_lands_in_its_postbox(site):
    site.python(
        "from django.core.mail import mail_admins, send_mail\n"
        "send_mail('Hello', 'A text', None, ['ana@example.org'], using='supporters')"
    )
    assert site.postbox.wait_for("ana@example.org")[0].message["Subject"] == "Hello"
