"""HTML becomes words; nothing in it runs, and nothing in it stops the reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letters.rules.plaintext import html_text

PIECES = [
    "<p>", "</p>", "<p", "<style>", "</style>", "<!--", "-->", "<!", "<![if", "<![CDATA[", "]]>", "<?php",
    "<!DOCTYPE [", "<title>", "<script", "<a b=", "<a b='", '="', ">", "&#999999999999;", "&#xD800;", "&",
    "\0", "é", "x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<b>Hello</b> <i>big</i> world", "Hello big world"),
        ("a&nbsp;b &amp; &lt;c&gt; &eacute;&#233;", "a b & <c> éé"),
        ("<head><title>T</title><style>p{}</style></head>x<script>alert('</p>')</script>y", "xy"),
        ("<html><head><meta charset=utf-8><body>No head end", "No head end"),
        ("<SCRIPT type=x>alert(1)</SCRIPT >after", "after"),
        ("before<script>alert(1)", "before"),
        ("<!-- <p>hidden</p> -->shown<![if mso]>too<![endif]>", "showntoo"),
        ('<a title="a > b" onclick=\'x("y")\'>link</a>', "link"),
        ("<td>3 < 4</td>", "3 < 4"),
        ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\n\nb"),
    ],
)
def test_html_becomes_text_without_anything_that_runs(html: str, text: str) -> None:
    assert html_text(html) == text


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_html_is_reduced_to_words(html: str) -> None:
    text = html_text(html)

    assert text == text.strip()
    assert "\n\n\n" not in text


@given(st.text("abc é.,&;\n", max_size=60))
def test_words_inside_blocks_are_never_lost(words: str) -> None:
    escaped = words.replace("&", "&amp;")

    assert html_text(f"<div><p>{escaped}</p></div>").split() == words.split()
