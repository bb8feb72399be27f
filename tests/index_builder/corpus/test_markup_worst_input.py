"""Input that would take a parser that goes back minutes; a test that hangs is the failure."""

from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.html.xhtml import to_html
from lurcher.index_builder.corpus.markdown.front_matter import front_matter
from lurcher.index_builder.corpus.markdown.headings import heading_text, split_anchor
from lurcher.index_builder.corpus.markdown.hidden import hidden_in_html, hidden_in_prose
from lurcher.index_builder.corpus.markdown.structure import read_markdown
from lurcher.index_builder.corpus.markup import MAX_HEADING
from lurcher.index_builder.corpus.texts.rst import read_rst

# In characters. Of quadratic time the small size would take long enough to be seen.
SIZES = pytest.mark.parametrize("size", [2**14, pytest.param(2**20, marks=pytest.mark.nightly)])


def filled(piece: str, size: int) -> str:
    return piece * (size // len(piece))


@pytest.mark.parametrize(
    "piece",
    [
        "<!--",
        "{/*",
        "<script",
        "data:",
        "data:image/",
        "data:a/b;c",
        "data:a/b;base64,",
        "(data:image/a,",
        "`",
        "`a",
        "`` ",
        "\\",
        "\\`",
        "'data:image/a,",
        "\"data:image/a,'",
        "-->",
        "<!-- -->",
    ],
)
@SIZES
def test_hidden_marks(piece: str, size: int) -> None:
    text = filled(piece, size)
    for found in (hidden_in_prose, hidden_in_html):
        assert all(start < end for start, end in found(text, 0, len(text), True))


def test_runs_of_backticks_of_every_length() -> None:
    text = "<!-- -->" + " ".join("`" * length for length in range(700))
    assert list(hidden_in_prose(text, 0, len(text), False)) == [(0, 8)]


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a ",
        "a: b\n",
        "\n",
        "- ",
        "\\\\",
        "''",
        "title: ",
        "title = ",
        "#",
        " # ",
        '"',
        "a\r\n",
        "\\u0",
    ],
)
@pytest.mark.parametrize(
    "opening", ["---\n", '---\ntitle: "', "---\ntitle: '", "---\ntitle: ", "+++\ntitle = '"]
)
@SIZES
def test_front_matter(opening: str, piece: str, size: int) -> None:
    for end in ("", "\n---\n", "\n+++\n"):
        front_matter(opening + filled(piece, size) + end)


@pytest.mark.parametrize(
    "piece", ["{", "{#", "{#a", "{#a}", "{# ", "[", "![", "*a **b ", "`a``", "<a ", "&#", "_", "~~"]
)
def test_headings(piece: str) -> None:
    heading = filled(piece, MAX_HEADING)
    assert heading_text(split_anchor(heading)[0], {}) is not None


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a",
        "<a ",
        "<a=",
        "<a ='",
        '<a b="<a ',
        "<a/",
        "<a/>",
        "<![CDATA[",
        "<!--",
        "<a ='' ",
        " ='<a'",
        "<a\n\t",
    ],
)
@SIZES
def test_xhtml(piece: str, size: int) -> None:
    assert len(to_html(filled(piece, size))) > 0


@pytest.mark.parametrize(
    "piece",
    [
        "a\n=\n",
        "=\n",
        "= ",
        "..\n",
        ".. a:",
        ".. a\n",
        ":a",
        ":a:",
        "`",
        "``",
        "*",
        "a\n",
        "**a",
        "\\",
        "`a <",
        "====\n",
    ],
)
@SIZES
def test_rst(piece: str, size: int) -> None:
    assert read_rst(filled(piece, size)).hidden is not None


BLOCKS = [
    "[",
    "![",
    "[a](",
    "*a ",
    "**a __b ",
    "`",
    "`a",
    "<",
    "<a ",
    '<a b="',
    "<!--",
    "<?",
    "<![CDATA[",
    "&",
    "\\",
    "> ",
    ">",
    "- ",
    "1. ",
    "- > ",
    "\t",
    " ",
    "~~~\n",
    "a\n=\n",
    "a\n",
    "# a\n",
    "> a\n",
    "- a\n",
    "- a\n\n",
    "[a]: b\n",
    "[a]:\n",
    "[a\n",
    '[a]: b "c\n',
    "[a]: <b\n",
    "|a",
    "a|b\n-|-\n",
    "<h1>\n",
    "<h1>a</h1>\n\n",
    "<div>\n\n",
    "<script>\n",
    "# " + "[" * 900 + "\n",
    "# " + "![a](" * 190 + "\n",
    "# a {#" + "{#" * 400 + "\n",
    "> " * 19 + "a\n",
    "- " * 9 + "a\n",
    "|a" * 300 + "\n" + "|-" * 300 + "\n" + "a\n" * 1000,
]


@pytest.mark.parametrize("piece", BLOCKS)
@SIZES
def test_markdown(piece: str, size: int) -> None:
    source = filled(piece, size)
    assert read_markdown(source).text == source


def test_a_table_of_many_columns() -> None:
    head = f"{'|a' * 100_000}\n{'|-' * 100_000}\n"
    assert read_markdown(head + "|b\n" * 1000).blocks == ((0, len(head) + 2999),)
