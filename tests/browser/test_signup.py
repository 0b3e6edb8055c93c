"""From the campaign page to “my letters” in a real browser: with and without JavaScript, and by keyboard."""

import itertools
import re

import pytest

SEED = """
from tests import builders
from letters import lifecycle
builders.known_world()
builders.office("FR")
campaign = builders.open_campaign("by-browser")
lifecycle.launch(campaign, by="ana")
"""
SEND = "from letters.sending import rounds; rounds.send_due(5)"
SENT = re.compile(r"/write/sent/(#preview)?$")  # after a preview the fragment stays
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def campaign(site):
    """A campaign that is open and running; France has an address."""
    site.python(SEED)
    return "by-browser"


@pytest.fixture
def address():
    return f"ines{next(numbers)}@people.example"


def fill(page, address):
    """Fills the page on which a letter is written, by mouse or finger."""
    page.get_by_label("Country you write to").select_option("FR")
    page.get_by_label("Announce attendance").check()
    page.get_by_label("In your own words").fill("My town was rebuilt by the United Nations.")
    page.get_by_label("Your name").fill("Inés Müller")
    page.get_by_label("Your e-mail address", exact=True).fill(address)
    page.get_by_label("I agree that").check()


def press_sign(page):
    page.wait_for_timeout(2100)  # nobody is faster
    page.get_by_role("button", name="Sign, and send me the link").click()
    page.wait_for_url(SENT)


def link_in_mail(site, address):
    """Has the mail sent, and follows what its reader sees: the first link of the text."""
    site.python(SEND)
    mail = site.postbox.wait_for(address)[0]
    assert mail.message["Subject"] == "Please confirm your letter to France"
    assert "Inés" not in mail.text
    return re.search(rf"{re.escape(site.url)}/en/confirm/\S+", mail.text)[0]


def confirm_and_follow(page, site, address):
    page.goto(link_in_mail(site, address))
    assert "My town was rebuilt by the United Nations." in page.inner_text("main")
    page.get_by_role("button", name="Yes, send my letter").click()
    page.wait_for_url("**/en/thanks/**")
    assert re.fullmatch(r"Letter \d+ to France", page.inner_text("h1"))
    page.get_by_role("link", name="See my letters").click()
    page.wait_for_url("**/en/my/**")
    assert page.inner_text("article h2") == "France"
    assert "on its way to be sent" in page.inner_text("article .state")


@pytest.mark.looks("desktop")
def test_with_javascript_the_letter_grows_while_one_writes(page, site, campaign, address):
    page.goto(f"/en/{campaign}/")
    page.get_by_role("link", name="Write your letter").first.click()
    preview = page.locator("#preview")
    assert "Choose a country first" in preview.inner_text()
    fill(page, address)
    preview.get_by_text("My town was rebuilt by the United Nations.").first.wait_for()
    assert "Annoncer la participation de la France" in preview.inner_text()
    assert "Inés Müller" in preview.inner_text()
    assert "French" in page.locator("#preview-status").inner_text()
    press_sign(page)
    assert address in page.inner_text("main")
    confirm_and_follow(page, site, address)


@pytest.mark.looks("desktop")
def test_the_button_for_the_preview_works_with_javascript_too(page, campaign):
    page.goto(f"/en/{campaign}/write/")
    page.get_by_label("Country you write to").select_option("SN")
    page.get_by_role("button", name="Show my letter").click()
    page.locator("#preview").get_by_text("Sénégal").first.wait_for()
    assert page.url.endswith(f"/en/{campaign}/write/")


def test_without_javascript_on_a_phone_the_whole_way_is_open(open_page, site, campaign, address):
    page = open_page("plain-phone")
    page.goto(f"/en/{campaign}/write/")
    fill(page, address)
    page.get_by_role("button", name="Show my letter").click()
    page.wait_for_load_state()
    assert "Annoncer la participation de la France" in page.inner_text("#preview")
    assert page.get_by_label("Your name").input_value() == "Inés Müller"
    assert page.get_by_label("I agree that").is_checked()
    press_sign(page)
    confirm_and_follow(page, site, address)


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.innerText")


def tab_to(page, wanted, *, at_most=80):
    """Presses Tab until the wanted element has the focus; where it is, that must be seen."""
    for _ in range(at_most):
        page.keyboard.press("Tab")
        if wanted in focused(page):
            seen = page.evaluate(
                "(({outlineStyle: o, boxShadow: s}) => o !== 'none' || s !== 'none')"
                "(getComputedStyle(document.activeElement))"
            )
            assert seen, f"{wanted} has the focus, and nothing shows it"
            return
    pytest.fail(f"Tab does not lead to {wanted}")


@pytest.mark.looks("desktop")
def test_the_whole_way_by_keyboard(page, site, campaign, address):
    page.goto(f"/en/{campaign}/write/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    tab_to(page, "id_country")
    page.keyboard.type("France")
    tab_to(page, "id_asks")
    page.keyboard.press("Space")
    tab_to(page, "id_own_words")
    page.keyboard.type("My town was rebuilt by the United Nations.")
    tab_to(page, "id_name")
    page.keyboard.type("Inés Müller")
    tab_to(page, "id_email")
    page.keyboard.type(address)
    tab_to(page, "id_agree")
    page.keyboard.press("Space")
    page.wait_for_timeout(2100)
    tab_to(page, "Sign, and send me the link")
    page.keyboard.press("Enter")
    page.wait_for_url(SENT)
    page.goto(link_in_mail(site, address))
    tab_to(page, "Yes, send my letter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/en/thanks/**")


@pytest.mark.looks("desktop", "phone")
def test_errors_are_announced_and_lead_to_their_fields(page, campaign):
    page.goto(f"/en/{campaign}/write/")
    page.get_by_role("button", name="Sign, and send me the link").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    alert.get_by_role("link", name="Enter your name").click()
    assert focused(page) == "id_name"
    assert page.get_by_label("Your name").get_attribute("aria-invalid") == "true"


@pytest.mark.looks("phone")
def test_no_page_is_wider_than_a_phone(page, site, campaign, address):
    def fits():
        width, room = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert (page.url, width) == (page.url, room)

    for language in ("en", "fr", "es"):
        for place in (
            f"/{language}/",
            f"/{language}/{campaign}/",
            f"/{language}/{campaign}/write/?country=FR",
        ):
            page.goto(place)
            fits()
    page.goto(f"/en/{campaign}/write/")
    fill(page, address)
    page.get_by_label("Your name").fill("W" * 100)
    page.locator("#preview").get_by_text("W" * 100).first.wait_for()
    fits()
    press_sign(page)
    fits()
    page.goto(link_in_mail(site, address))
    fits()
    page.get_by_role("button", name="Yes, send my letter").click()
    page.wait_for_url("**/en/thanks/**")
    fits()
    page.get_by_role("link", name="See my letters").click()
    page.wait_for_url("**/en/my/**")
    page.get_by_text("Read the letter").click()
    fits()
