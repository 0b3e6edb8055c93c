"""Puts a letter together: a form (all that one office's letters share) and one person's part. Pure.

The form is frozen when a letter is sent, so that what was said can be shown again, byte for byte,
whatever has become of texts, names and phrases since.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from letters.rules.placeholders import Paragraph, Slot

RTL = frozenset({"ar", "fa", "he", "ur", "ps", "dv"})
PERSONAL = frozenset(
    {"sender.name", "sender.place", "asks", "own_words", "signature", "reference", "reply_address"}
)


@dataclass(frozen=True)
class Source:
    """The approved texts of a letter, parsed: subject, body, footer, and each ask's sentence by key."""

    language: str
    subject: tuple[Paragraph, ...]
    body: tuple[Paragraph, ...]
    footer: tuple[Paragraph, ...]
    asks: Mapping[str, tuple[Paragraph, ...]]


@dataclass(frozen=True)
class Form:
    """A letter to one office with everything filled in but the person's own part."""

    language: str
    subject: tuple[Paragraph, ...]
    body: tuple[Paragraph, ...]
    footer: tuple[Paragraph, ...]
    asks: Mapping[str, str]

    @property
    def direction(self) -> str:
        """ "rtl" or "ltr", for the HTML part and the pages."""
        return "rtl" if self.language.split("-")[0] in RTL else "ltr"


@dataclass(frozen=True)
class Person:
    """One person's part of a letter."""

    name: str
    place: str
    signature: str
    asks: tuple[str, ...]
    own_words: str
    reference: str
    reply_address: str


@dataclass(frozen=True)
class Composed:
    """A finished letter: subject, plain text, and the HTML derived from that text."""

    subject: str
    text: str
    html: str


def fill(source: Source, office: Mapping[str, str]) -> Form:
    """Fills in all that does not depend on the person.

    `office` holds the values of the non-personal placeholders; a missing one raises KeyError.
    """
    return Form(
        language=source.language,
        subject=_fill(source.subject, office),
        body=_fill(source.body, office),
        footer=_fill(source.footer, office),
        asks={key: _text(_fill(parts, office), {}) for key, parts in source.asks.items()},
    )


def compose(form: Form, person: Person) -> Composed:
    """The finished letter of one person. Strangers' words stand literally: nothing in them is read.

    Raises KeyError when an ask is not on the form.
    """
    values = {
        "sender.name": person.name,
        "sender.place": person.place,
        "signature": person.signature,
        "own_words": clean_words(person.own_words),
        "asks": "\n".join(f"– {form.asks[key]}" for key in person.asks),
        "reference": person.reference,
        "reply_address": person.reply_address,
    }
    body, footer = _text(form.body, values), _text(form.footer, values)
    subject = " ".join(_text(form.subject, values).split())
    return Composed(subject=subject, text=_join(body, footer), html=_html(form, values, person.asks))


def clean_words(words: str) -> str:
    """A person's own words with even line ends and no blank lines at either end or in heaps."""
    lines = [line.rstrip() for line in words.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    kept = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    return "\n".join(kept).strip("\n")


def dump(form: Form) -> dict[str, Any]:
    """The form as plain JSON values, for keeping."""
    return {
        "language": form.language,
        "asks": dict(form.asks),
        **{name: _dump(getattr(form, name)) for name in ("subject", "body", "footer")},
    }


def load(data: Mapping[str, Any]) -> Form:
    """A form from what `dump` made of it."""
    return Form(
        language=data["language"],
        asks=data["asks"],
        **{name: _load(data[name]) for name in ("subject", "body", "footer")},
    )


def _fill(paragraphs: tuple[Paragraph, ...], values: Mapping[str, str]) -> tuple[Paragraph, ...]:
    return tuple(
        tuple(
            values[part.name] if isinstance(part, Slot) and part.name not in PERSONAL else part
            for part in paragraph
        )
        for paragraph in paragraphs
    )


def _text(paragraphs: tuple[Paragraph, ...], values: Mapping[str, str]) -> str:
    filled = (
        "".join(values[part.name] if isinstance(part, Slot) else part for part in paragraph).strip()
        for paragraph in paragraphs
    )
    return "\n\n".join(chunk for chunk in filled if chunk)


def _join(body: str, footer: str) -> str:
    return f"{body}\n\n-- \n{footer}\n" if footer else f"{body}\n"


def _html(form: Form, values: Mapping[str, str], asks: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(form.asks[key])}</li>" for key in asks)
    chunks = []
    for paragraph in form.body:
        if paragraph == (Slot("asks"),):
            chunks.append(f"<ul>{items}</ul>" if items else "")
        else:
            chunks.append(_blocks(_text((paragraph,), values)))
    footer = _blocks(_text(form.footer, values))
    rule = f'<hr>\n<div style="font-size:smaller">\n{footer}\n</div>' if footer else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(form.language)}" dir="{form.direction}">\n'
        '<head><meta charset="utf-8"></head>\n<body style="max-width:40em;line-height:1.5">\n'
        + "\n".join(chunk for chunk in (*chunks, rule) if chunk)
        + "\n</body>\n</html>\n"
    )


def _blocks(text: str) -> str:
    return "\n".join(
        f"<p>{escape(chunk).replace('\n', '<br>\n')}</p>" for chunk in text.split("\n\n") if chunk
    )


def _dump(paragraphs: tuple[Paragraph, ...]) -> list[list[Any]]:
    return [[asdict(p) if isinstance(p, Slot) else p for p in paragraph] for paragraph in paragraphs]


def _load(paragraphs: list[list[Any]]) -> tuple[Paragraph, ...]:
    return tuple(
        tuple(Slot(p["name"]) if isinstance(p, dict) else p for p in paragraph) for paragraph in paragraphs
    )
