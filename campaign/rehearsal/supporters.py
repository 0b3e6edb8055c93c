"""The rehearsal's supporters: robots that sign up over HTTP and confirm by the link in their mail."""

import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

READING_SECONDS = 2.5  # the form refuses whoever is faster than 2
TIMEOUT = 60


class WentWrong(RuntimeError):
    """A page did not answer as it does to a person; the message says which and how."""


@dataclass(frozen=True)
class Person:
    """Somebody who writes. `late` ones confirm only after the launch."""

    name: str
    mailbox: str
    language: str
    writes_to: str
    city: str = ""
    words: str = ""
    late: bool = False

    @property
    def email(self) -> str:
        """The person's address: every mailbox of the rehearsal is at one provider."""
        return f"{self.mailbox}@post.example"


@dataclass
class WebForm:
    """A form of a page: where it goes, what stands in its fields, what may be ticked."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    boxes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """A page as it arrived."""

    url: str
    status: int
    forms: list[WebForm]


class Browser:
    """A person's browser: keeps cookies, knows no proxy, reads forms."""

    def __init__(self) -> None:
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def get(self, url: str) -> Page:
        """Opens a page, whatever its status."""
        return self._open(url, None)

    def post(self, page: Page, form: WebForm, values: list[tuple[str, str]]) -> Page:
        """Sends a form of a page with its hidden fields and what was typed; follows where it leads."""
        return self._open(urljoin(page.url, form.action), urlencode([*form.values.items(), *values]).encode())

    def _open(self, url: str, data: bytes | None) -> Page:
        try:
            answer = self._opener.open(url, data, TIMEOUT)
        except HTTPError as error:
            answer = error
        with answer:
            reader = _Forms()
            reader.feed(answer.read().decode())
            return Page(answer.url, answer.status, reader.forms)


class _Forms(HTMLParser):
    """The forms of a page, with hidden fields and checkboxes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[WebForm] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(WebForm(given.get("action", "")))
        elif tag == "input" and self.forms and given.get("name"):
            if given.get("type") == "hidden":
                self.forms[-1].values[given["name"]] = given.get("value", "")
            elif given.get("type") == "checkbox":
                self.forms[-1].boxes.append((given["name"], given.get("value", "on")))


def sign(person: Person, *, campaign_url: str) -> Browser:
    """Reads the page of a campaign, writes a letter there and sends it off. Raises WentWrong."""
    browser = Browser()
    page = browser.get(f"{campaign_url}write/")
    form = next((form for form in page.forms if "started" in form.values), None)
    if form is None:
        raise WentWrong(f"{person.name}: {page.url} shows no form to write in (status {page.status})")
    time.sleep(READING_SECONDS)
    asks = [box for box in form.boxes if box[0] == "asks"]
    wanted = asks[: 1 + len(person.mailbox) % len(asks)] if asks else []
    typed = [("country", person.writes_to), ("own_words", person.words), ("name", person.name)]
    typed += [("email", person.email), ("city", person.city), ("show_name", "on"), ("agree", "on")]
    done = browser.post(page, form, typed + wanted)
    if not done.url.endswith("/write/sent/"):
        raise WentWrong(f"{person.name}: the letter was not taken at {done.url} (status {done.status})")
    return browser


def confirm(person: Person, browser: Browser, *, text: str) -> None:
    """Opens the link in the confirmation mail's text and presses the button there. Raises WentWrong."""
    found = re.search(r"https?://\S+/confirm/\S+", text)
    if not found:
        raise WentWrong(f"{person.name}: the confirmation mail has no link")
    page = browser.get(found[0])
    form = next((form for form in page.forms if form.action == urlsplit(found[0]).path), None)
    if form is None:
        raise WentWrong(f"{person.name}: {page.url} has no button to confirm (status {page.status})")
    done = browser.post(page, form, [])
    if "/thanks/" not in done.url:
        raise WentWrong(f"{person.name}: not confirmed at {done.url} (status {done.status})")


PEOPLE = (
    Person("Amélie Ørsted", "amelie.orsted", "fr", "FR", "Lyon", "À Lyon, beaucoup d'entre nous y tiennent."),
    Person("Jean-Baptiste N'Guessan", "jb.nguessan", "fr", "CI", "Bouaké"),
    Person("Aïssatou Diop", "aissatou", "fr", "SN", "Saint-Louis", "Chez nous, la mer monte."),
    Person("Lotte Van den Broeck", "lotte", "fr", "BE", "Gent"),
    Person("Marc Weber", "m.weber", "fr", "LU", "Esch-sur-Alzette"),
    Person("Zoë O’Hara", "zoe", "en", "IE", "Galway", "My pupils ask me what the UN is for."),
    Person("Siobhán Ní Bhriain", "siobhan", "en", "GB", "Belfast"),
    Person("प्रिया शर्मा", "priya", "en", "IN", "Pune", "Two of our wells have run dry."),
    Person("李小龍", "li.xiaolong", "en", "NZ", "Auckland"),
    Person("Наталія Коваль", "natalia", "en", "CA", "Winnipeg"),
    Person("Wanjikũ Mũthoni", "wanjiku", "en", "KE", "Kisumu"),
    Person("Sione Tupou", "sione", "en", "AU", "Cairns"),
    Person("Marlene “Queenie” Brown", "queenie", "en", "JM", "Kingston"),
    Person("José María Núñez", "jm.nunez", "es", "ES", "Cádiz", "Desde Cádiz se ve el mar que nos une."),
    Person("Xóchitl Hernández", "xochitl", "es", "MX", "Oaxaca"),
    Person("Íñigo Peña", "inigo", "es", "AR", "Rosario"),
    Person("Ana Lucía Quispe", "analucia", "es", "PE", "Cusco"),
    Person("María del Mar Ruiz", "mar.ruiz", "es", "CL", "Valparaíso"),
    Person("Nguyễn Thị Hoa", "hoa", "es", "CO", "Medellín"),
    Person("Álvaro Güemes", "alvaro", "es", "UY", "Salto"),
    Person("山田 花子", "hanako", "en", "JP", "大阪"),  # no address of this ministry is known: held
    Person("محمد الأمين", "mohamed", "fr", "FR", "Marseille", late=True),
    Person("Ελένη Παπαδοπούλου", "eleni", "en", "IE", "Cork", late=True),
    Person("Renée d'Arc", "renee", "fr", "BE", "Namur", late=True),
    Person("Óscar Ibáñez", "oscar", "es", "ES", "Gijón", late=True),
)  # fmt: skip
