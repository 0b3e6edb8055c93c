"""Letter texts are a closed language: what it does not know is refused, with line and column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.rules.placeholders import BLOCKS, INLINE, Slot, TextError, parse, slots


@pytest.mark.parametrize(
    ("source", "paragraphs"),
    [
        ("", ()),
        (" \n\t\n ", ()),
        ("One line.", (("One line.",),)),
        ("One\nline.", (("One\nline.",),)),
        ("One.\n\nTwo.\n \t\n\n\nThree.", (("One.",), ("Two.",), ("Three.",))),
        ("One.\r\n\r\nTwo.\r\n", (("One.",), ("Two.",))),
        ("\n\nOne.\n\n", (("One.",),)),
        (
            "The people {{ country.of }} and {{country.name}}.",
            (("The people ", Slot("country.of"), " and ", Slot("country.name"), "."),),
        ),
        ("{{ salutation }}", ((Slot("salutation"),),)),
        ("{ not ours } and 100 % {}", (("{ not ours } and 100 % {}",),)),
    ],
)
def test_a_text_becomes_paragraphs_of_words_and_slots(source: str, paragraphs: tuple[object, ...]) -> None:
    assert parse(source) == paragraphs


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_block_on_its_line_becomes_its_own_paragraph(newline: str) -> None:
    source = newline.join(
        ["{{ salutation }}", "I ask you to:", "  {{ asks }}\t", "Please.", "", "{{ closing }}"]
    )

    assert parse(source) == (
        (Slot("salutation"),),
        ("I ask you to:",),
        (Slot("asks"),),
        ("Please.",),
        (Slot("closing"),),
    )


@pytest.mark.parametrize("name", sorted(INLINE | BLOCKS))
def test_every_listed_placeholder_is_known(name: str) -> None:
    assert slots(parse(f"{{{{ {name} }}}}")) == {name}


@pytest.mark.parametrize(
    ("source", "line", "column", "why"),
    [
        ("{% load i18n %}", 1, 1, "“{%”"),
        ("Dear\n\nyou {% include 'x' %}", 3, 5, "“{%”"),
        ("{# hidden #}", 1, 1, "“{#”"),
        ("a %} b", 1, 3, "“%}”"),
        ("{{ settings }}", 1, 1, "unknown placeholder “settings”"),
        ("One.\n  {{ a.b }}", 2, 3, "unknown placeholder “a.b”"),
        ("{{ country.of.__class__ }}", 1, 1, "unknown placeholder “country.of.__class__”"),
        ("{{ Country.of }}", 1, 1, "“{{”"),
        ("{{ ministry|safe }}", 1, 1, "“{{”"),
        ("{{ }}", 1, 1, "“{{”"),
        ("{{ ministry", 1, 1, "“{{”"),
        ("words ministry }}", 1, 16, "“}}”"),
        ("{{ ministry }", 1, 1, "“{{”"),
        ("{{{ ministry }}}", 1, 1, "“{{”"),
        ("{{{ ministry }}", 1, 1, "“{{”"),
        ("{{ ministry }}}", 1, 1, "“{{”"),
        ("\n\nThird line: {{ wrong }}", 3, 13, "unknown placeholder “wrong”"),
        ("One.\r\nTwo.\r\n{{ wrong }}", 3, 1, "unknown placeholder “wrong”"),
        ("Please: {{ asks }}", 1, 9, "“asks” must stand alone on its line"),
        ("{{ salutation }} {{ closing }}", 1, 1, "“salutation” must stand alone on its line"),
        ("la position de {{ country.of }}", 1, 13, "“de {{ country …”"),
        ("Je vis\nen {{country.in}}", 2, 1, "“en {{country …”"),
        ("the government of {{ country.name }}", 1, 16, "“of {{ country …”"),
        ("d’{{ country.name }}", 1, 1, "“d’{{ country …”"),
        ("À {{ country.name }}", 1, 1, "“À {{ country …”"),
    ],
)
def test_what_is_not_in_the_language_is_refused_where_it_stands(
    source: str, line: int, column: int, why: str
) -> None:
    with pytest.raises(TextError) as refusal:
        parse(source)

    error = refusal.value
    assert (error.line, error.column) == (line, column)
    assert why in error.why
    assert str(error) == f"line {line}, column {column}: {error.why}"


def test_a_preposition_inside_a_word_or_before_something_else_is_none() -> None:
    assert parse("Le monde {{ country.of }}, au nom de {{ organisers }}")


def test_a_subject_takes_only_what_it_is_given() -> None:
    allowed = frozenset({"campaign"})

    assert slots(parse("{{ campaign }}", allowed=allowed)) == {"campaign"}
    with pytest.raises(TextError, match="known: campaign"):
        parse("{{ asks }}", allowed=allowed)


@given(st.text("{}%# \n\r\tabc.countryofs_é", max_size=40))
def test_any_text_is_parsed_or_refused_inside_itself(source: str) -> None:
    try:
        paragraphs = parse(source)
    except TextError as refusal:
        error = refusal
    else:
        assert slots(paragraphs) <= INLINE | BLOCKS
        words = "".join(part for paragraph in paragraphs for part in paragraph if isinstance(part, str))
        assert "{{" not in words
        assert "{%" not in words
        return
    lines = source.replace("\r\n", "\n").split("\n")
    assert 1 <= error.line <= len(lines)
    assert 1 <= error.column <= len(lines[error.line - 1])


@given(st.lists(st.text("ab é,.'\"<&", min_size=1).filter(str.strip), max_size=6))
def test_words_without_braces_come_through_as_they_are(chunks: list[str]) -> None:
    assert parse("\n\n".join(chunks)) == tuple((chunk,) for chunk in chunks)
