"""A letter reads as if a careful person had written it, and strangers' words stand in it literally."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.rules import composing
from letters.rules.composing import Composed, Form, Person, Source, clean_words
from letters.rules.placeholders import BLOCKS, INLINE, Slot, parse

BODY = """{{ addressee }}
{{ salutation }}
As someone who lives in {{ sender.place }}, I write to the people {{ country.of }}.
I ask that you:
{{ asks }}
{{ own_words }}
{{ closing }}
{{ signature }}"""
OFFICE = {
    "addressee": "Ministry of Foreign Affairs\nParis",
    "salutation": "Excellency,",
    "closing": "Yours sincerely,",
    "country.name": "France",
    "country.of": "of France",
    "country.in": "in France",
    "ministry": "Ministry of Foreign Affairs",
    "campaign": "UN75",
    "organisers": "The Organisers",
}
ASKS = {"speeches": "publish the speeches {{ country.of }}.", "forum": "support <the forum>."}
PERSON = Person(
    name="Amélie Dupont",
    place="Lyon",
    signature="Amélie Dupont\nLyon",
    asks=("forum", "speeches"),
    own_words="My own words.",
    reference="UN75-FR-7K3M",
    reply_address="r-abc@reply.example",
)
WORDS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("{}%\r\n <&\u2028\0")))


def form(body: str = BODY, *, footer: str = "Reference: {{ reference }}", language: str = "en") -> Form:
    source = Source(
        language=language,
        subject=parse("{{ campaign }}: a letter from {{ sender.name }}"),
        body=parse(body),
        footer=parse(footer),
        asks={key: parse(text) for key, text in ASKS.items()},
    )
    return composing.fill(source, OFFICE)


def letter(body: str = BODY, *, footer: str = "", language: str = "en", **changes: object) -> Composed:
    return composing.compose(form(body, footer=footer, language=language), Person(**(vars(PERSON) | changes)))


def test_a_whole_letter_reads_well() -> None:
    composed = composing.compose(form(), PERSON)

    assert composed.subject == "UN75: a letter from Amélie Dupont"
    assert (
        composed.text
        == """Ministry of Foreign Affairs
Paris

Excellency,

As someone who lives in Lyon, I write to the people of France.
I ask that you:

– support <the forum>.
– publish the speeches of France.

My own words.

Yours sincerely,

Amélie Dupont
Lyon

--\x20
Reference: UN75-FR-7K3M
"""
    )


def test_the_html_part_says_the_same_and_escapes_it() -> None:
    html = composing.compose(form(), PERSON).html

    assert '<html lang="en" dir="ltr">' in html
    assert "<p>Ministry of Foreign Affairs<br>\nParis</p>" in html
    assert "<ul><li>support &lt;the forum&gt;.</li><li>publish the speeches of France.</li></ul>" in html
    assert html.index("<hr>") > html.index("Yours sincerely,")
    assert html.count("Reference: UN75-FR-7K3M") == 1


@pytest.mark.parametrize("name", ["asks", "own_words", "signature"])
def test_a_block_with_nothing_in_it_leaves_no_hole(name: str) -> None:
    composed = letter(**{name: () if name == "asks" else " \r\n "})

    assert "\n\n\n" not in composed.text
    assert "<p></p>" not in composed.html
    assert composed.html.count("<ul>") == (name != "asks")


def test_asks_come_in_the_order_in_which_they_were_chosen() -> None:
    first = letter(asks=("speeches", "forum"))

    assert first.text.index("speeches") < first.text.index("forum")
    assert first.html.index("speeches") < first.html.index("forum")
    assert "forum" not in letter(asks=("speeches",)).text


def test_an_ask_that_is_not_on_the_form_is_an_error() -> None:
    with pytest.raises(KeyError):
        letter(asks=("money",))


def test_a_value_that_the_office_lacks_is_an_error() -> None:
    with pytest.raises(KeyError):
        composing.fill(Source("en", parse("x"), parse("{{ ministry }}"), (), {}), {})


@pytest.mark.parametrize(
    "words",
    [
        "{{ country.of }}",
        "{% load i18n %}{{ settings }}",
        "{{ own_words }} {{ asks }}",
        "<script>alert(1)</script>",
        '"quoted" & <b>bold</b>',
        "%(name)s %s {0} $name",
    ],
)
def test_a_persons_words_stand_literally(words: str) -> None:
    composed = letter(own_words=words, signature=words)

    assert composed.text.count(words) == 2
    assert "<script>" not in composed.html
    assert "<b>" not in composed.html


def test_a_name_cannot_break_the_subject_line() -> None:
    composed = letter(name="Amélie\r\nBcc: x@evil.example\u2028\x85 Dupont")

    assert composed.subject == "UN75: a letter from Amélie Bcc: x@evil.example Dupont"


@pytest.mark.parametrize(
    ("language", "direction"), [("ar", "rtl"), ("fa-IR", "rtl"), ("he", "rtl"), ("fr", "ltr"), ("arn", "ltr")]
)
def test_a_letter_runs_in_the_direction_of_its_language(language: str, direction: str) -> None:
    assert f'lang="{language}" dir="{direction}"' in letter(language=language).html


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("  \r\n\t\r\n ", ""),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("\n\none  \n\n\n\ntwo\n", "one\n\ntwo"),
        ("  indented", "  indented"),
        ("-- \nno signature", "--\nno signature"),
    ],
)
def test_own_words_are_tidied(typed: str, kept: str) -> None:
    assert clean_words(typed) == kept


@given(WORDS)
def test_tidying_twice_is_tidying_once(words: str) -> None:
    once = clean_words(words)

    assert clean_words(once) == once
    assert "\n\n\n" not in once
    assert "\r" not in once


@given(WORDS, WORDS, WORDS)
def test_any_words_make_a_letter_that_holds_them(name: str, place: str, words: str) -> None:
    composed = letter(footer="{{ reference }}", name=name, place=place, signature=name, own_words=words)

    assert clean_words(words).strip() in composed.text
    assert len(composed.subject.splitlines()) == 1
    assert composed.html.count("<script") == 0
    assert composed.html.endswith("</html>\n")
    assert composed.text.endswith("\n-- \nUN75-FR-7K3M\n")


def test_a_form_keeps_only_the_persons_places_open() -> None:
    left = {part.name for paragraph in form().body for part in paragraph if isinstance(part, Slot)}

    assert left == {"sender.place", "asks", "own_words", "signature"}
    assert left <= composing.PERSONAL <= INLINE | BLOCKS


@given(st.lists(st.sampled_from([*sorted(BLOCKS), "word", "é < & {", "\n"]), max_size=12))
def test_a_form_comes_back_from_its_keeping_and_composes_byte_for_byte(pieces: list[str]) -> None:
    body = "\n".join(f"{{{{ {piece} }}}}" if piece in BLOCKS else piece for piece in pieces)
    kept = form(body, language="ar")

    again = composing.load(json.loads(json.dumps(composing.dump(kept))))

    assert again == kept
    assert composing.compose(again, PERSON) == composing.compose(kept, PERSON)
