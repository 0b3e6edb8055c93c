"""The pages speak French and Spanish wholly: no string is forgotten, and none is broken."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import polib
import pytest
from django.conf import settings
from django.utils.translation import templatize

ROOT = Path(settings.BASE_DIR)
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
ARGUMENTS = {  # what the leading arguments of a marking function are
    "gettext": ("msgid",),
    "ngettext": ("msgid", "plural"),
    "pgettext": ("context", "msgid"),
    "npgettext": ("context", "msgid", "plural"),
}
MARKS = {f"{name}{lazy}": parts for name, parts in ARGUMENTS.items() for lazy in ("", "_lazy", "_noop")}
LITERAL = r"""[uU]?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
MARKED = re.compile(rf"\b(_|n?p?gettext)\(\s*({LITERAL}(?:\s*,\s*{LITERAL})*)", re.DOTALL)
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\{.*?\}\}|\{\w*\}|</?\w[^>]*>")
BREAKABLE = re.compile(r"[ \t\n][:;?!»]|«[ \t\n]")


class Message(NamedTuple):
    """A string to translate, as catalogues know it."""

    msgid: str
    plural: str = ""
    context: str = ""


def messages_of_python(source: str, name: str = "?") -> set[Message]:
    """The marked strings of a module. Raises ValueError for a marked one that is not written there."""
    tree = ast.parse(source, name)
    marks = {
        alias.asname or alias.name: MARKS[alias.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in MARKS
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (parts := _parts(node.func, marks)):
            words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            if len(words) < len(parts):
                raise ValueError(f"{name}, line {node.lineno}: only a literal string can be translated")
            found.add(Message(**dict(zip(parts, words, strict=False))))
    return found


def _parts(called: ast.expr, marks: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if isinstance(called, ast.Attribute):  # translation.gettext(…)
        return MARKS.get(called.attr, ())
    return marks.get(called.id, ()) if isinstance(called, ast.Name) else ()


def messages_of_template(source: str, name: str = "?") -> set[Message]:
    """The marked strings of a template."""
    found = set()
    for mark, arguments in MARKED.findall(templatize(source, origin=name)):
        words = [ast.literal_eval(one) for one in re.findall(LITERAL, arguments, re.DOTALL)]
        parts = ARGUMENTS["gettext" if mark == "_" else mark]
        found.add(Message(**dict(zip(parts, words, strict=False))))
    return found


def marked() -> dict[Message, str]:
    """All strings of the code and of the templates, each with a file that holds it."""
    modules = [
        path
        for app in ("campaign", "contacts", "letters")
        for path in sorted((ROOT / app).rglob("*.py"))
        if "migrations" not in path.parts
    ]
    templates = [path for path in sorted((ROOT / "templates").rglob("*")) if path.is_file()]
    found = {}
    for read, paths in ((messages_of_python, modules), (messages_of_template, templates)):
        for path in paths:
            place = str(path.relative_to(ROOT))
            found |= dict.fromkeys(read(path.read_text("utf-8"), place), place)
    return found


def catalogue(language: str, ending: str) -> Path:
    return Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / f"django.{ending}"


def key(entry: polib.POEntry) -> Message:
    return Message(entry.msgid, entry.msgid_plural or "", entry.msgctxt or "")


def forms(entry: polib.POEntry) -> list[str]:
    """The translation, in each of its plural forms."""
    plural = entry.msgstr_plural
    return [plural[number] for number in sorted(plural)] if plural else [entry.msgstr]


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture
def entries(language):
    """The entries of the catalogue as a person edits it."""
    return polib.pofile(str(catalogue(language, "po")))


def test_a_marked_string_is_found_however_it_is_marked():
    module = (
        "from django.utils.translation import gettext as _, ngettext_lazy, pgettext\n"
        "_('one' ' two')\n"
        "ngettext_lazy('%d day', '%d days', n)\n"
        "pgettext('month', 'May')\n"
        "translation.gettext('three')\n"
        "other('not this')\n"
    )
    assert messages_of_python(module) == {
        Message("one two"),
        Message("%d day", "%d days"),
        Message("May", context="month"),
        Message("three"),
    }
    template = (
        """{% load i18n %}{% translate "It's" %} not this {% translate "May" context "month" %}"""
        """{% firstof x _("said “no”") %}{% blocktranslate trimmed count n=n %}\n  {{ n }} day\n"""
        """{% plural %}\n  {{ n }} days\n{% endblocktranslate %}"""
    )
    assert messages_of_template(template) == {
        Message("It's"),
        Message("May", context="month"),
        Message("said “no”"),
        Message("%(n)s day", "%(n)s days"),
    }


def test_a_marked_string_that_is_put_together_is_refused():
    with pytest.raises(ValueError, match="line 2"):
        messages_of_python("from django.utils.translation import gettext as _\n_(f'{x} letters')\n")


def test_every_string_is_in_the_catalogue_and_nothing_else(entries):
    wanted, there = marked(), {key(entry) for entry in entries if not entry.obsolete}
    assert len(wanted) > 100  # they were looked for in the right place
    missing = {message: place for message, place in wanted.items() if message not in there}
    assert not missing
    assert not there - set(wanted), "no longer in the code"
    assert not entries.obsolete_entries()


def test_every_string_is_translated(entries):
    assert [entry.msgid for entry in entries if entry.fuzzy] == []
    assert [entry.msgid for entry in entries if not all(form.strip() for form in forms(entry))] == []


def test_every_plural_has_all_its_forms(entries):
    number = int(re.search(r"nplurals=(\d+)", entries.metadata["Plural-Forms"])[1])
    plurals = [entry for entry in entries if entry.msgid_plural]
    assert plurals
    assert [entry.msgid for entry in plurals if len(forms(entry)) != number] == []


def test_placeholders_and_markup_are_kept(entries):
    broken = [
        (entry.msgid, form)
        for entry in entries
        for form in forms(entry)
        if set(PLACEHOLDER.findall(form)) != set(PLACEHOLDER.findall(entry.msgid + entry.msgid_plural))
    ]
    assert broken == []


def test_the_compiled_catalogue_is_that_of_its_source(language, entries):
    compiled = polib.mofile(str(catalogue(language, "mo")))
    assert {key(entry): forms(entry) for entry in compiled} == {key(entry): forms(entry) for entry in entries}
    assert compiled.metadata == entries.metadata


def test_french_punctuation_never_stands_alone_on_a_line():
    french = polib.pofile(str(catalogue("fr", "po")))
    assert [form for entry in french for form in forms(entry) if BREAKABLE.search(form)] == []
