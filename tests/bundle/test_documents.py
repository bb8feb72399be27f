"""A document's text from its passages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.documents import joined
from lurcher.bundle.passages import Passage


def passage(text: str, start: int, end: int | None = None) -> Passage:
    return Passage(f"d#{start}", text, start=start, end=start + len(text) if end is None else end)


def test_gaps_are_blank_and_what_is_shared_stands_once() -> None:
    assert joined([passage("one two", 0), passage("two three", 4), passage("four", 15)]) == (
        "one two three  four"
    )


def test_what_is_hidden_inside_a_passage_is_blank_after_its_text() -> None:
    assert joined([passage("ab", 0, 5), passage("cd", 5)]) == "ab   cd"


def test_hidden_text_shared_by_two_passages_stands_once() -> None:
    assert joined([passage("abc", 2, 8), passage("c", 6, 8)]) == "  abc   "


@given(st.text("ab \n", max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15))))
def test_every_passage_stands_where_it_says(text: str, places: list[tuple[int, int]]) -> None:
    spans = sorted((start, min(start + size, len(text))) for start, size in places)
    passages = [passage(text[start:end], start) for start, end in spans if start < end]
    found = joined(passages)
    for one in passages:
        assert found[one.start : one.end] == one.text
