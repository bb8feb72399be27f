from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.passage import BadRecord


def extract(page: str) -> tuple[str, str]:
    found = read_html(page)
    return found.title, found.text


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
        ("<title>Never closed<p>text", ("Never closed<p>text", "")),
        (
            "<title>Using the <b> tag &amp; friends</title><p>body",
            ("Using the <b> tag & friends", "body"),
        ),
        ("<title>One</title><title>Two</title>three", ("One", "three")),
        ("<p>before</p><!-- never closed <p>hidden", ("", "before")),
        ("<p>a<!-- b --!>c<!-->d", ("", "acd")),
        (
            "<textarea>try <script>run()</script></textarea>z",
            ("", "try <script>run()</script>\n\nz"),
        ),
        ("<iframe><p>old</iframe><noscript><p>off</noscript>x", ("", "x")),
        ("<p>a<style>b</style>c<svg><style>d</style><text>e</text></svg>", ("", "ac e")),
        ("a<![if !IE]>b<![endif]>c<![odd[ d ]]>e", ("", "abce")),
        ("x<![CDATA[y]]>z", ("", "xz")),
        ("<script>never closed <p>text", ("", "")),
    ],
)
def test_malformed_and_unusual_pages(page: str, expected: tuple[str, str]) -> None:
    assert extract(page) == expected


def test_preformatted_text_keeps_its_lines() -> None:
    page = "<p>In\ntro<pre>\ndef f(x):\n    if x:  \n\n        return <b>1</b><br>f(0)\n\n</pre>out\nro"
    code = "def f(x):\n    if x:\n\n        return 1\nf(0)"
    assert extract(page) == ("", f"In tro\n\n{code}\n\nout ro")


@pytest.mark.parametrize(
    "page",
    ["<div>" * 200_000, "<i></b>" * 140_000, "<div " + " ".join(f"a{i}" for i in range(150_000))],
)
def test_a_page_that_would_take_minutes_to_parse_is_refused(page: str) -> None:
    with pytest.raises(BadRecord, match="more than"):
        extract(page)


@pytest.mark.parametrize(
    "piece",
    ["<p>", "<li>", "<td>", "<br>", "<a>", "<h1>", "<", "<!--", "<p>a</p>", "<b>a<i>b</i></b>",
     "<svg><path d='M 0 0'/></svg>", "<div><o:p/></div>", "&amp;", "</div>", "\x00"],
)  # fmt: skip
def test_a_long_page_is_read(piece: str) -> None:
    extract(piece * (500_000 // len(piece)))


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
