"""What a page's own markup hides is no text, and what stands apart on the page is not one word."""

from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.html.hidden import displays_nothing
from lurcher.index_builder.corpus.html.page import read_html


@pytest.mark.parametrize(
    "hides",
    ["hidden", "HIDDEN=''", "hidden=false", "style='display:none'", "style='color:red;Display : NONE;'",
     "style='display: none !important; display: block'", "style='/* a;b */display/**/:/*c*/none'",
     "style='background:url(data:a/b;base64,xx);display&colon;none'"],
)  # fmt: skip
def test_what_is_hidden_is_not_read(hides: str) -> None:
    found = read_html(
        f"<title>T</title><p>se<i {hides}>x</i>en</p><div {hides}>y<h1>no</h1><p>z</div>"
        f"<h2 {hides}>no</h2><div {hides}><div {hides}>n</div></div><svg {hides}><text>s</text></svg>end"
    )
    assert (found.title, found.text, found.sections) == ("T", "seen\n\nend", ())


@pytest.mark.parametrize(
    "shows",
    ["hidden=until-found", "hidden=Until-Found", "style='display:block'", "style", "data-hidden",
     "style='display:none;display:block'", "style='display-x:none'", "style='/*display:none'",
     "style='visibility:none'"],
)  # fmt: skip
def test_what_is_shown_is_read(shows: str) -> None:
    assert read_html(f"<p>a</p><p {shows}>b</p>").text == "a\n\nb"


@pytest.mark.parametrize("attribute", ["hidden", "style='display:none'"])
@pytest.mark.parametrize("tag", ["html", "body"])
def test_a_page_that_scripts_show_is_read(tag: str, attribute: str) -> None:
    assert read_html(f"<{tag} {attribute}><p>text</p>").text == "text"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<button>Save</button><button>Open</button>", "Save Open"),
        ("<label>Name</label><input><label>Age</label>now", "Name Age now"),
        ("<select><option>One<option>Two</select>x", "One\n\nTwo\n\nx"),
        ("a<select><button>b</button></select>c", "a b c"),
        ("<svg><text>Left</text><text>Right</text></svg>", "Left Right"),
        (
            "<svg><text>Up<tspan>per</tspan><tspan x=0 dy=1>Low</tspan>er</text></svg>",
            "Upper Low er",
        ),
        ("<text>un</text><text>known</text>", "unknown"),
        ("<math><mi>a</mi><mo>+</mo><mtable><mtr><mtd>1<mtd>2</mtable></math>", "a+ 1 2"),
        ("<pre>one<button>Copy</button>\n  two</pre>", "one Copy\n  two"),
        ("a<meter>1</meter><progress>2</progress>b", "a 1 2 b"),
        ("<datalist><option>no</datalist><video>no</video><audio>no</audio>yes", "yes"),
        ("<b>bo</b>ld wo<wbr>rd", "bold word"),
    ],
)
def test_what_stands_apart_is_not_one_word(page: str, text: str) -> None:
    assert read_html(page).text == text


@pytest.mark.parametrize("style", ["/*", "display:none;", "/**/", ":", ";", "display", "!"])
def test_long_styles_are_read_in_linear_time(style: str) -> None:
    displays_nothing(style * (1_000_000 // len(style)))
    read_html(f"<p style='{style * 1_000}' hidden>" * 200)
