from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.markdown.structure import read_markdown
from lurcher.index_builder.corpus.markup import Markup

PAGE = """\
Before.

# The *main* [part](x)

Text.

## Use {#use-it}

## Run `it` &amp; go

```sh
# no heading
```

> # quoted

- # listed

### Deep ###

## Run it

| a | b |
|---|---|
| c | d |

    code

# Other
"""


def shown(page: Markup) -> list[tuple[str, tuple[str, ...], str]]:
    """First line, path and anchor of each section."""
    return [(page.text[one.start :].split("\n")[0], one.path, one.anchor) for one in page.sections]


def pieces(page: Markup, ranges: tuple[tuple[int, int], ...]) -> list[str]:
    return [page.text[start:end] for start, end in ranges]


def test_the_structure_of_a_page() -> None:
    page = read_markdown(PAGE)
    assert page.text == PAGE
    assert page.title == "The main part"
    assert shown(page) == [
        ("Before.", (), ""),
        ("# The *main* [part](x)", (), "the-main-part"),
        ("## Use {#use-it}", ("Use",), "use-it"),
        ("## Run `it` &amp; go", ("Run it & go",), "run-it--go"),
        ("### Deep ###", ("Run it & go", "Deep"), "deep"),
        ("## Run it", ("Run it",), "run-it"),
        ("# Other", ("Other",), "other"),
    ]
    assert pieces(page, page.blocks) == [
        "```sh\n# no heading\n```",
        "| a | b |\n|---|---|\n| c | d |",
        "    code",
    ]
    assert page.hidden == ()


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("<!--\n# for editors\n-->\n\n# Shown\n", "Shown"),
        ("<!-- # one --> <!-- # two -->\n# Shown\n", "Shown"),
        ("---\n# a comment\ntitle: Given\n---\n\n## First\n", "Given"),
        ("+++\ntitle = 'Given'\n+++\n", "Given"),
        ("Set *in*\ntwo lines\n===\n", "Set in two lines"),
        ("> # quoted\n\n- # listed\n\n## Own", "Own"),
        ("```\n# code\n```\n    # code\n~~~\n# open fence", ""),
        (r"# A \* B \# C" + "\n", "A * B # C"),
        ("# C# ##\n", "C#"),
        ("# a <b>bold</b> <!-- no --> _em_ ~~old~~ <https://x.y> &eacute;", "a bold em old https://x.y é"),
        ("# Name ![logo](a.png) [![ci](b)](c)", "Name"),
        ("# ![The logo](a.png)", "The logo"),
        ("# [Linked][ref]\n\n[ref]: /x", "Linked"),
        ("# snake_case_name * 2", "snake_case_name * 2"),
        ("#\n\n# ##\n\n#hash\n\n####### seven\n\n# Real", "Real"),
        ('<h1 align="center">\n <img src="x">\n The &amp; <i>name</i>\n</h1>\n', "The & name"),
        ("<div>\n<!-- <h1>no</h1> -->\n<h2>Yes</h2></div>", "Yes"),
        ("<h1>never closed\n\n# Next", "never closed"),
        ("<script>\n// <h1>no</h1>\n\n# no\n</script>\n\n# Yes", "Yes"),
        ("<!-- never closed\n\n# inside", ""),
        ("# " + "long " * 500 + "\n\n# Short", "Short"),
        ("\r\n# One\r\rtext", "One"),
    ],
)  # fmt: skip
def test_titles(source: str, title: str) -> None:
    assert read_markdown(source).title == title


def test_the_titles_own_heading_is_in_no_path() -> None:
    page = read_markdown("---\ntitle: Pump\n---\n# Pump\n\n## Start\n\n# Pump\n\n## Stop\n")
    paths = [section.path for section in page.sections]
    assert paths == [(), (), ("Start",), ("Pump",), ("Pump", "Stop")]


def test_anchors_are_those_that_github_makes() -> None:
    headings = ["Use", "Use", "Use-1", "C++ & C#", "a_b  c", "Größe Ⅷ 長さ", "हिन्दी", "!?"]
    page = read_markdown("".join(f"# {heading}\n" for heading in headings))
    assert [section.anchor for section in page.sections] == [
        "use", "use-1", "use-1-1", "c--c", "a_b-c", "größe--長さ", "हिन्दी", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "mark", ["{#own}", "{ #own .class }", "{: #own }", "{/* #own */}", "{#own key=value} \t"]
)
def test_anchors_given_at_the_end_of_a_heading(mark: str) -> None:
    page = read_markdown(f"# Head {mark}\n")
    assert (page.title, page.sections[0].anchor) == ("Head", "own")


def test_headings_of_html_bring_their_anchors() -> None:
    page = read_markdown('<h2 id="own">A</h2>\n<h3><a name="named"></a>B</h3>\n<h3>A b</h3>\n')
    assert [(one.path, one.anchor) for one in page.sections] == [
        ((), "own"),
        (("B",), "named"),
        (("A b",), "a-b"),
    ]


@pytest.mark.parametrize(
    ("source", "hidden"),
    [
        ("---\na: b\n---\ntext", ["---\na: b\n---"]),
        ("a <!-- b --> c <!--> d <!-- open", ["<!-- b -->", "<!-->"]),
        ("`<!-- a -->` ``b ` <!-- c -->`` ` <!-- d -->", ["<!-- d -->"]),
        (r"\`<!-- a -->` \<!-- b -->", ["<!-- a -->"]),
        ("```\n<!-- a -->\n```\n    <!-- b -->", []),
        ("<!-- a\n\n# b -->c\n\nd", ["<!-- a\n\n# b -->"]),
        ("> <!-- a\n> b\n\nc", ["<!-- a\n> b"]),
        ("- <!-- a -->\n- b\n", ["<!-- a -->"]),
        ("| a <!-- b --> |\n|---|\n", ["<!-- b -->"]),
        ("# a <!-- b -->\n", ["<!-- b -->"]),
        ("<div>a<!-- b --></div>\n\n<style>\nc\n\n</style>d", ["<!-- b -->", "<style>\nc\n\n</style>"]),
        ("<script>a\n\nb", ["<script>a\n\nb"]),
        ("![a](data:image/png;base64,QUJD) b", ["(data:image/png;base64,QUJD)"]),
        ("[a]: <DATA:image/png;base64,QUJD>", ["DATA:image/png;base64,QUJD"]),
        ("<img alt='x' src='data:image/svg+xml,<svg>\n</svg>'>", ["data:image/svg+xml,<svg>\n</svg>"]),
        ("x <img src=\"data:font/woff;base64,QQ==\"/> y", ["data:font/woff;base64,QQ=="]),
        ("the data: image/png, a data:text/plain,hello and data:", []),
        ("```\ndata:image/png;base64,QUJD\n```", []),
        ("```\n" + (uri := "data:image/png;base64," + "QUJD" * 50) + "\n```", [uri]),
        ("> " * 12 + "- " * 12 + "<!-- a -->", ["<!-- a -->"]),
        ("import a from 'b'\n\nexport c\n\n{/* d */}", []),
    ],
)  # fmt: skip
def test_what_is_hidden(source: str, hidden: list[str]) -> None:
    page = read_markdown(source)
    assert pieces(page, page.hidden) == hidden


def test_what_mdx_hides() -> None:
    source = (
        "import A from 'a'\nexport const b = {\n}\n\n# T {/* c */}\n\n"
        "import d\n\nimported\n\n<A>{/* e */}</A>"
    )
    page = read_markdown(source, mdx=True)
    assert page.title == "T"
    assert pieces(page, page.hidden) == [
        "import A from 'a'\nexport const b = {\n}",
        "{/* c */}",
        "import d",
        "{/* e */}",
    ]


def test_blocks_keep_to_whole_lines() -> None:
    source = (
        "1. a\n   ```py\n   b\n   ```\n2. <x>\n\n> | c |\n> |---|\n\n"
        "<pre>\nd\n\ne</pre>\nf\n\n~~~\ng\r\n"
    )
    page = read_markdown(source)
    assert pieces(page, page.blocks) == [
        "   ```py\n   b\n   ```",
        "> | c |\n> |---|",
        "<pre>\nd\n\ne</pre>",
        "~~~\ng",
    ]


@pytest.mark.parametrize(
    ("source", "tables"),
    [
        ("text\na | b\n--|--\nc\nd\n\ne", ["a | b\n--|--\nc\nd"]),
        ("|a|\n|-|\n> quote", ["|a|\n|-|"]),
        ("|a|\n|-|\n# head", ["|a|\n|-|"]),
        ("|a|\n|-|\n    code", ["|a|\n|-|", "    code"]),
        ("- |a|\n  |-|\n  |b|\n\nc", ["- |a|\n  |-|\n  |b|"]),
        ("|a|\n|-|-|\n", []),
        ("a\n-\nb", []),
    ],
)
def test_tables(source: str, tables: list[str]) -> None:
    page = read_markdown(source)
    assert pieces(page, page.blocks) == tables
