"""docs/lexical.md says what the analyser does, and names every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lurcher.models.lexical.analyser import Analyser
from lurcher.models.lexical.languages import LANGUAGES

PAGE = (Path(__file__).parents[3] / "docs" / "lexical.md").read_text(encoding="utf-8")
CODE = re.compile("`([^`]+)`")


def rows() -> list[list[list[str]]]:
    """The code in each cell of the table of examples."""
    lines = PAGE.partition("| text | words |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[CODE.findall(cell) for cell in line.split("|")[1:-1]] for line in lines]


def test_the_page_has_examples() -> None:
    assert len(rows()) >= 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][0])
def test_an_example_is_as_told(row: list[list[str]]) -> None:
    (text,), words, extra = row
    terms = Analyser("english").terms(text)
    assert (terms.words, terms.extra) == (words, extra)


def test_the_page_names_every_language() -> None:
    named = CODE.findall(PAGE.partition("## Languages")[2])
    assert set(LANGUAGES) <= set(named)
