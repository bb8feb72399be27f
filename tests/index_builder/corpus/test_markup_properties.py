from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.html.xhtml import to_html
from lurcher.index_builder.corpus.markdown.structure import read_markdown
from lurcher.index_builder.corpus.markup import Markup
from lurcher.index_builder.corpus.texts.rst import read_rst

MARKDOWN = [
    "---\n",
    "title: x\n",
    "+++\n",
    "title = 'x'\n",
    "# ",
    "## ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "a",
    "b c",
    "===\n",
    "---",
    "```",
    "~~~\n",
    "    ",
    "\t",
    "> ",
    "- ",
    "1. ",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<pre>",
    "</pre>",
    "<h1 id=a>",
    "</h1>",
    "<h2>",
    "</h2>",
    "|a|b|\n|-|-|\n",
    "| ",
    "`",
    "\\",
    "![a](data:image/png;base64,QQ==)",
    '"data:image/png;base64,QQ',
    '"',
    "[a]: data:font/x;base64,QQ\n",
    "{#id}",
    "{/*",
    "*/}",
    "import x\n",
    "\x00",
    "é",
    "\u2028",
    "\x0c",
]
HTML = [
    "<title>",
    "</title>",
    "<h1>",
    "</h1>",
    "<h2 id=a>",
    "</h2>",
    "<h3>",
    "<p>",
    "</p>",
    "a",
    "b c",
    " ",
    "\n",
    "<pre>",
    "</pre>",
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "<blockquote>",
    "</blockquote>",
    "<section id=b>",
    "</section>",
    "<a name=c>",
    "</a>",
    "<a href='#x'>¶</a>",
    "<svg>",
    "</svg>",
    "<textarea>",
    "<br>",
    "<!--",
    "-->",
    "<template>",
    "<plaintext>",
    "<x/>",
    "<![CDATA[",
    "]]>",
    "&amp;",
    "</div>",
    "<div>",
    "é",
]
RST = [
    "a\n",
    "b c\n",
    "=\n",
    "===\n",
    "====\n",
    "----\n",
    "\n",
    " ",
    ".. ",
    "..",
    "_",
    "::\n",
    ":",
    "`",
    "*",
    "|",
    "長\n",
    "\\",
    "\r\n",
    "- ",
    "\x0c",
]


def pages(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=30).map("".join)


def check(page: Markup) -> None:
    """The promises of Markup."""
    starts = [section.start for section in page.sections]
    assert starts == sorted(set(starts))
    assert not starts or (starts[0] == 0 and starts[-1] < len(page.text))
    for ranges in (page.blocks, page.hidden):
        ends = [0, *(offset for one in ranges for offset in one), len(page.text)]
        assert ends == sorted(ends)
        assert all(start < end for start, end in ranges)
    for heading in [page.title, *(name for section in page.sections for name in section.path)]:
        assert heading == " ".join(heading.split())
    assert all(name for section in page.sections for name in section.path)
    assert all(len(b.path) <= len(a.path) + 2 for a, b in pairwise(page.sections))


@given(pages(MARKDOWN), st.booleans())
def test_any_markdown(source: str, mdx: bool) -> None:
    page = read_markdown(source, mdx)
    assert page.text == source
    check(page)


@given(pages(HTML), st.booleans())
def test_any_html(source: str, xml: bool) -> None:
    page = read_html(to_html(source) if xml else source)
    check(page)
    shown = " ".join(page.text.split())
    assert all(name in shown for section in page.sections for name in section.path)
    for section in page.sections:
        start = " ".join(page.text[section.start :].split())
        assert not section.path or start.startswith(section.path[-1])


@given(pages(RST))
def test_any_rst(source: str) -> None:
    page = read_rst(source)
    assert page.text == source
    check(page)


NAMES = st.text("abc ÉX字0.,'", min_size=1, max_size=9).map(lambda name: " ".join(name.split()))
OUTLINES = st.lists(
    st.tuples(st.integers(1, 6), NAMES.filter(lambda name: name[:1].isalpha())),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("kind", ["markdown", "html"])
@given(OUTLINES)
def test_every_heading_begins_a_section(kind: str, headings: list[tuple[int, str]]) -> None:
    if kind == "markdown":
        page = read_markdown(
            "".join(f"{'#' * level} {name}\n\ntext\n\n" for level, name in headings)
        )
    else:
        page = read_html("".join(f"<h{level}>{name}</h{level}><p>text" for level, name in headings))
    assert len(page.sections) == len(headings)
    for section, (level, name) in zip(page.sections, headings, strict=True):
        assert page.text[section.start :].lstrip("# ").startswith(name)
        assert section.path == () or section.path[-1] == name
        assert len(section.path) <= level
    assert page.title in {name for _, name in headings}
