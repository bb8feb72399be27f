from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.html.xhtml import to_html


def test_a_page_that_html_would_read_otherwise() -> None:
    page = (
        '<?xml version="1.0"?><html><head><title/><script src="x"/></head><body>'
        "<h1 id='r'>A<br/>b</h1><a id=\"k\" title='>'/><h2>C</h2>"
        "<p>x <![CDATA[<y> & z]]></p><!-- <div/> --><div/>w</body></html>"
    )
    found = read_html(to_html(page))
    assert (found.title, found.text) == ("A b", "A b\n\nC\n\nx <y> & z\n\nw")
    assert [section.anchor for section in found.sections] == ["r", "k"]


@pytest.mark.parametrize(
    ("page", "html"),
    [
        ("<a/><br/><A b='/>'/>", "<a></a><br/><A b='/>'></A>"),
        ("<a href='x/'>y</a>", "<a href='x/'>y</a>"),
        ('<a\n  b = "c"\n/>', '<a\n  b = "c"\n></a>'),
        ("<o:p/>", "<o:p></o:p>"),
        ("<![CDATA[a]]", "a]]"),
        ("<!-- <a/>", "<!-- <a/>"),
        ("a < b /> <", "a < b /> <"),
        ("", ""),
    ],
)
def test_to_html(page: str, html: str) -> None:
    assert to_html(page) == html
