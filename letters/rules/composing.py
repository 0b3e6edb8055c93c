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


CHOICES_KEPT = 500  # of asks, for one form
ASKS: Paragraph = (Slot("asks"),)


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
    done = Plan(form).compose(person)
    return Composed(subject=done.subject, text="".join(done.text), html="".join(done.html))


class Fixed(str):
    """Words that all letters of a form share: worth encoding once."""

    __slots__ = ()


BLANK = Fixed("\n")
SIGNATURE_RULE = Fixed("-- \n")  # RFC 3676 §4.3
NOTE_BEGINS, NOTE_ENDS = Fixed('<hr>\n<div style="font-size:smaller">\n'), Fixed("</div>\n")
PARAGRAPH, PARAGRAPH_ENDS = Fixed("<p>\n"), Fixed("</p>\n")
TAIL = Fixed("</body>\n</html>\n")


@dataclass(frozen=True, slots=True)
class Chunked:
    """A finished letter in chunks of whole lines; those that many letters share are `Fixed`."""

    subject: str
    text: list[str]
    html: list[str]


@dataclass(frozen=True, slots=True)
class _Shared:
    """A stretch of paragraphs without anything personal in them, as text and as HTML."""

    text: Fixed
    html: Fixed


class Plan:
    """A form made ready for many people: what they share is put together once."""

    def __init__(self, form: Form) -> None:
        self.language = form.language
        self._asks = form.asks
        self._chosen: dict[tuple[str, ...], _Shared] = {}
        self._subject = form.subject
        self._body, self._footer = _steps(form.body), _steps(form.footer)
        self._head = Fixed(
            f'<!DOCTYPE html>\n<html lang="{escape(form.language)}" dir="{form.direction}">\n'
            '<head><meta charset="utf-8"></head>\n<body style="max-width:40em;line-height:1.5">\n'
        )

    def compose(self, person: Person) -> Chunked:
        """The letter of one person. Raises KeyError when an ask is not on the form."""
        asks = self._chosen.get(person.asks) or self._choose(person.asks)
        values = {
            "sender.name": person.name,
            "sender.place": person.place,
            "signature": person.signature,
            "own_words": clean_words(person.own_words),
            "asks": asks.text.rstrip("\n"),
            "reference": person.reference,
            "reply_address": person.reply_address,
        }
        text, html = _written(self._body, values, asks)
        under, under_html = _written(self._footer, values, asks)
        if under:
            text = [*text, BLANK, SIGNATURE_RULE, *under]
            html = [*html, NOTE_BEGINS, *under_html, NOTE_ENDS]
        subject = " ".join(_text(self._subject, values).split())
        return Chunked(subject, text or [BLANK], [self._head, *html, TAIL])

    def _choose(self, asks: tuple[str, ...]) -> _Shared:
        """The list of some asks, kept: many people choose the same ones."""
        if len(self._chosen) >= CHOICES_KEPT:
            self._chosen.clear()
        items = "".join(f"<li>{escape(self._asks[key])}</li>" for key in asks)
        listed = _Shared(
            Fixed("".join(f"– {self._asks[key]}\n" for key in asks)),
            Fixed(f"<ul>{items}</ul>\n" if items else ""),
        )
        self._chosen[asks] = listed
        return listed


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


def _steps(paragraphs: tuple[Paragraph, ...]) -> list[_Shared | Paragraph]:
    """Paragraphs with something personal one by one, the others between them put together."""
    steps: list[_Shared | Paragraph] = []
    for paragraph in paragraphs:
        if any(isinstance(part, Slot) for part in paragraph):
            steps.append(paragraph)
        elif words := _text((paragraph,), {}):
            shared = _Shared(Fixed(f"{words}\n"), Fixed(f"{_blocks(words)}\n"))
            if steps and isinstance(last := steps[-1], _Shared):
                shared = _Shared(Fixed(f"{last.text}\n{shared.text}"), Fixed(last.html + shared.html))
                steps.pop()
            steps.append(shared)
    return steps


def _written(
    steps: list[_Shared | Paragraph], values: Mapping[str, str], asks: _Shared
) -> tuple[list[str], list[str]]:
    """The chunks of text and of HTML: a blank line between paragraphs, nothing for empty ones."""
    text: list[str] = []
    html: list[str] = []
    words: str
    marked: list[str]
    for step in steps:
        if isinstance(step, _Shared) or step == ASKS:
            shared = step if isinstance(step, _Shared) else asks
            words, marked = shared.text, [shared.html]
        elif told := "".join(
            [values[part.name] if isinstance(part, Slot) else part for part in step]
        ).strip():
            words = f"{told}\n"
            # Words that look the same in both parts stand on a line of their own in both: encoded once.
            alike = "\n" not in told and escape(told, quote=False) == told
            marked = [PARAGRAPH, words, PARAGRAPH_ENDS] if alike else [f"{_blocks(told)}\n"]
        else:
            continue
        if words:
            text += [BLANK, words] if text else [words]
            html += marked
    return text, html


def _blocks(text: str) -> str:
    return "\n".join(
        f"<p>{escape(chunk, quote=False).replace('\n', '<br>\n')}</p>"
        for chunk in text.split("\n\n")
        if chunk
    )


def _dump(paragraphs: tuple[Paragraph, ...]) -> list[list[Any]]:
    return [[asdict(p) if isinstance(p, Slot) else p for p in paragraph] for paragraph in paragraphs]


def _load(paragraphs: list[list[Any]]) -> tuple[Paragraph, ...]:
    return tuple(
        tuple(Slot(p["name"]) if isinstance(p, dict) else p for p in paragraph) for paragraph in paragraphs
    )
