"""The closed language of letter texts: plain text, listed placeholders, nothing else. Pure.

`{{ country.of }}` stands inside a sentence; a block such as `{{ asks }}` stands alone in its
paragraph or on its line. No template engine reads these words: a text is split once into parts.
"""

import re
from dataclasses import dataclass

INLINE = frozenset(
    {
        "country.name", "country.of", "country.in", "ministry", "sender.name", "sender.place",
        "campaign", "organisers", "reference", "reply_address",
    }
)  # fmt: skip
BLOCKS = frozenset({"addressee", "salutation", "asks", "own_words", "closing", "signature"})
SLOT = re.compile(r"(?<!\{)\{\{\s*([a-z_.]+)\s*\}\}(?!\})")
BLOCK_LINE = re.compile(rf"^[ \t]*(\{{\{{\s*(?:{'|'.join(sorted(BLOCKS))})\s*\}}\}})[ \t]*$", re.MULTILINE)
SUSPECT = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")
# "de {{ country.name }}" reads "de les États-Unis" for some State: finished phrases stand for that.
ASSEMBLED = re.compile(r"\b(de|du|des|d'|d’|à|au|aux|en|of|in|von|do|da)\s*\{\{\s*country\b", re.IGNORECASE)


class TextError(ValueError):
    """A letter text that cannot be used; says where (line and column, from 1) and why."""

    def __init__(self, line: int, column: int, why: str) -> None:
        super().__init__(f"line {line}, column {column}: {why}")
        self.line, self.column, self.why = line, column, why


@dataclass(frozen=True)
class Slot:
    """A place to be filled."""

    name: str


Part = str | Slot
Paragraph = tuple[Part, ...]


def parse(source: str, *, allowed: frozenset[str] = INLINE | BLOCKS) -> tuple[Paragraph, ...]:
    """Splits a text into paragraphs of literal strings and slots; a block is a paragraph of its own.

    Raises TextError with line and column for anything in braces that is not an allowed placeholder,
    for a block that shares its line with words, and for prepositions before a country.
    """
    source = source.replace("\r\n", "\n")
    _refuse_assembled(source)
    _refuse_strange(source, allowed)
    chunks = re.split(r"\n[ \t]*\n+", BLOCK_LINE.sub(r"\n\n\1\n\n", source))
    return tuple(_parts(chunk.strip("\n")) for chunk in chunks if chunk.strip())


def slots(paragraphs: tuple[Paragraph, ...]) -> set[str]:
    """The names of all placeholders in a parsed text."""
    return {part.name for paragraph in paragraphs for part in paragraph if isinstance(part, Slot)}


def _refuse_assembled(source: str) -> None:
    if match := ASSEMBLED.search(source):
        raise TextError(*_place(source, match.start()), f"write country.of or country.in, not “{match[0]} …”")


def _refuse_strange(source: str, allowed: frozenset[str]) -> None:
    rest = list(source)
    for match in SLOT.finditer(source):
        name, where = match[1], _place(source, match.start())
        if name not in allowed:
            raise TextError(*where, f"unknown placeholder “{name}”; known: {', '.join(sorted(allowed))}")
        if name in BLOCKS and _line_of(source, match.start()).strip() != match[0]:
            raise TextError(*where, f"“{name}” must stand alone on its line")
        rest[match.start() : match.end()] = " " * (match.end() - match.start())
    if strange := SUSPECT.search("".join(rest)):
        raise TextError(
            *_place(source, strange.start()), f"“{strange[0]}” is not part of a known placeholder"
        )


def _parts(chunk: str) -> Paragraph:
    parts: list[Part] = []
    end = 0
    for match in SLOT.finditer(chunk):
        if literal := chunk[end : match.start()]:
            parts.append(literal)
        parts.append(Slot(match[1]))
        end = match.end()
    if literal := chunk[end:]:
        parts.append(literal)
    return tuple(parts)


def _place(source: str, offset: int) -> tuple[int, int]:
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def _line_of(source: str, offset: int) -> str:
    start = source.rfind("\n", 0, offset) + 1
    end = source.find("\n", offset)
    return source[start : end if end >= 0 else len(source)]
