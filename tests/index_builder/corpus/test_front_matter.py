from __future__ import annotations

import pytest

from lurcher.index_builder.corpus.markdown.front_matter import front_matter


@pytest.mark.parametrize(
    ("yaml", "title"),
    [
        ("title: Plain text", "Plain text"),
        ("a: 1\nTitle:   Two: parts # comment", "Two: parts"),
        ('title: "A \\"b\\" \\u00e9 \\n c" # d', 'A "b" é c'),
        ('title: "\\ud800"', "\ufffd"),
        ("title: 'It''s # this'", "It's # this"),
        ("title: C# for all", "C# for all"),
        ("title: >-\n  Two\n  lines\nb: c", "Two lines"),
        ("title: |\n  One", "One"),
        ("title: Two\n  lines\n", "Two lines"),
        ('"title" : x', "x"),
        ("# title: no\nseo:\n  title: no\n- title: no", ""),
        ("title:", ""),
        ("title: # none", ""),
        ("title: null", ""),
        ("title: ~", ""),
        ("title: [a, b]", ""),
        ("title:\n  en: a", ""),
        ("title:\n  - a", ""),
        ('title: "never closed', ""),
        ("subtitle: no", ""),
        ("", ""),
    ],
)
def test_titles_in_yaml(yaml: str, title: str) -> None:
    source = f"---\n{yaml}\n---\n"
    assert front_matter(source + "\ntitle: x\n---\n") == (len(source) - 1, title)


@pytest.mark.parametrize(
    ("toml", "title"),
    [
        ("title = 'Single'", "Single"),
        ('draft = true\ntitle = "A \\"b\\"" # c', 'A "b"'),
        ("[menu]\ntitle = 'no'", ""),
        ("title = 1", ""),
        ("title = 'broken", ""),
        ("title.long = 'no'", ""),
        ("", ""),
    ],
)
def test_titles_in_toml(toml: str, title: str) -> None:
    source = f"+++\n{toml}\n+++\n"
    assert front_matter(source) == (len(source) - 1, title)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_spaces(end: str) -> None:
    head = end.join(["--- ", "title: x", "tags:", "- a", "... "])
    length, title = front_matter(f"{head}{end}y")
    assert (title, head[:length].rstrip()) == ("x", head.rstrip())


@pytest.mark.parametrize(
    "source",
    [
        "---\ntitle: never closed\n",
        "---\n\nProse between two rules.\n\n---\n",
        "---\ntitle: x\nprose\n---\n",
        "\n---\ntitle: x\n---\n",
        " ---\ntitle: x\n---\n",
        "----\ntitle: x\n----\n",
        "---\nOne of the many words of prose: this\n---\n",
        "---",
        "",
    ],
)
def test_what_is_no_front_matter(source: str) -> None:
    assert front_matter(source) == (0, "")
