from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.markup import Section

PAGE = """
<title>Pump</title>
<section id="top"><h1>Pump<a class="headerlink" href="#top">¶</a></h1><p>One.
<section id="start"><h2>Start &amp; <i>stop</i></h2><p>Two.
<pre>
a
  b
</pre><div id="near"></div><h3>Deep</h3><table><tr><td>1<td>2<tr><td>3</table>
</section></section><a name="end"></a><h2>End</h2>
"""


def test_the_structure_of_a_page() -> None:
    page = read_html(PAGE)
    assert page.title == "Pump"
    assert page.text == "Pump\n\nOne.\n\nStart & stop\n\nTwo.\n\na\n  b\n\nDeep\n\n1 2\n\n3\n\nEnd"
    assert page.sections == (
        Section(0, (), "top"),
        Section(12, ("Start & stop",), "start"),
        Section(39, ("Start & stop", "Deep"), "near"),
        Section(53, ("End",), "end"),
    )
    assert [page.text[start:end] for start, end in page.blocks] == ["a\n  b", "1 2\n\n3"]
    assert page.hidden == ()


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<h2>Menu</h2><h1>Page</h1>", "Page"),
        ("<title> </title><h3>Only</h3>", "Only"),
        ("<svg><title>Drawing</title></svg><h1>Page</h1>", "Page"),
        ("<!-- <h1>no</h1> --><template><h1>no</h1></template><noscript><h1>no</h1></noscript>", ""),
        ("<blockquote><h1>Quoted</h1></blockquote><h2>Own</h2>", "Own"),
        ("<h1></h1><h1> <img alt=x> </h1><h1>Third</h1>", "Third"),
        ("<h1>Never closed<p>text", "Never closed"),
        ("<h1><div>In a box</div><div>more</div></h1>", "In a box"),
        ("<h1>A<br>b<sup>2</sup></h1>", "A b2"),
        (f"<h1>{'long ' * 400}</h1><h2>Short</h2>", "Short"),
        ("<h1>x <a href='#x'>#</a></h1>", "x"),
        ("<h1>C<a href='/c'>#</a></h1>", "C#"),
        ("<plaintext><h1>x</h1>", ""),
    ],
)  # fmt: skip
def test_titles_of_pages_without_one(page: str, title: str) -> None:
    assert read_html(page).title == title


@pytest.mark.parametrize(
    ("page", "anchors"),
    [
        ("<h1 id=a>x</h1><h2 id=b>y</h2>", ["a", "b"]),
        ("<h1 id=a>x</h1><h2 id=a>y</h2>", ["a", ""]),
        ("<h1><a id=a></a>x</h1><h2><a name=b>y</a></h2>", ["a", "b"]),
        ("<h1 id=a><span id=b>x</span></h1>", ["a"]),
        ("<section id=a><div id=b></div><h1 id=c>x</h1></section>", ["c"]),
        ("<h1 id=a></h1><h1 id=b>x</h1>", ["b"]),
        ("<article id=a><h1>x</h1>y<h2>z</h2></article><h2>w</h2>", ["a", "a", ""]),
        ("<p id=a>text</p><h1>x</h1>", ["", ""]),
        ("<h1>x</h1>", [""]),
    ],
)
def test_anchors(page: str, anchors: list[str]) -> None:
    assert [section.anchor for section in read_html(page).sections] == anchors


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<table><tr><td><pre>a</pre><td>b</table>", ["a\n\nb"]),
        ("<table><tr><td><h2>a</h2><pre>b</pre></table>", ["b"]),
        ("<table><tr><td><table><tr><td>a</table>b</table>", ["a"]),
        ("<table></table><pre></pre>", []),
        ("<pre>a<pre>b</pre>c</pre>", ["a\n\nb\n\nc"]),
        ("<pre>a<h2>b</h2>c</pre>", []),
        ("<textarea>a\nb</textarea>", []),
        ("x<pre>open", ["open"]),
        ("<plaintext></plaintext>", ["</plaintext>"]),
    ],
)
def test_blocks(page: str, blocks: list[str]) -> None:
    found = read_html(page)
    assert [found.text[start:end] for start, end in found.blocks] == blocks
