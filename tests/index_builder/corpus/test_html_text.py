from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus.html_text import extract

PAGE = """<!DOCTYPE html>
<html><head><title> A &amp; B
</title><style>p { color: red }</style><script>if (a < b) "</p>"</script></head>
<body><!-- hidden --><h1>Head</h1><p>One <b>bo</b>ld
 word.<p>Two&nbsp;&eacute;<br>lines<noscript><p>Turn it on</p></noscript>
<template><div>x</div></template><table><tr><td>c1<td>c2</table></body></html>"""


def test_a_page() -> None:
    assert extract(PAGE) == ("A & B", "Head\n\nOne bold word.\n\nTwo é lines\n\nc1 c2")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("", ("", "")),
        ("no tags", ("", "no tags")),
        ("a < b > c & d &unknown; &#x41;", ("", "a < b > c & d &unknown; A")),
        ("<p>open <b>tags", ("", "open tags")),
        ("a</p></div></script>b", ("", "a\n\nb")),
        ("<template>x<template>y</template>z</noscript></template>seen", ("", "seen")),
        (
            "<title></title><title>First</title><svg><title>Drawing</title></svg>",
            ("First", "Drawing"),
        ),
        ("<title>Never closed<p>text", ("Never closed", "text")),
        ("a<![if !IE]>b<![endif]>c<![odd[ d ]]>e", ("", "abce")),
        ("x<![CDATA[y]]>z", ("", "xz")),
        ("<script>never closed <p>text", ("", "")),
    ],
)
def test_malformed_and_unusual_pages(page: str, expected: tuple[str, str]) -> None:
    assert extract(page) == expected


MARKUP = """< > </ <! <!-- --> <![ ]]> <? & &# &#xD800; &#99999999; <p <p> </p> <title> <script>
    </script> <template> = ' " / word é [CDATA[ doctype if"""
SNIPPETS = st.lists(st.sampled_from([" ", "\n", "\x00", *MARKUP.split()]), max_size=25).map("".join)


@given(SNIPPETS)
def test_no_page_is_an_error(page: str) -> None:
    title, text = extract(page)
    f"{title}{text}".encode()
    assert all(part == " ".join(part.split()) != "" for part in text.split("\n\n")) or text == ""


@given(st.lists(st.text("abcé字&", min_size=1, max_size=5), min_size=1, max_size=8))
def test_all_visible_words_are_kept(words: list[str]) -> None:
    escaped = [word.replace("&", "&amp;") for word in words]
    page = "".join(f"<div><i>{word}</i></div>" for word in escaped)
    assert extract(page) == ("", "\n\n".join(words))
