"""``retrieve`` and ``query_syntax`` in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lurcher
from lurcher.errors import FieldError


@pytest.fixture(scope="module")
def docs(small_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(small_bundle, threads=1) as opened:
        yield opened


def test_what_finds_passages_is_chosen(docs: lurcher.Collection) -> None:
    def scores(**options: object) -> list[str]:
        return list(docs.search("the cat sleeps", 2, rank="off", **options).hits[0].scores)  # type: ignore[arg-type]  # options of a search

    assert scores() == scores(retrieve="hybrid") == ["dense", "lexical", "fused"]
    assert scores(retrieve="dense") == ["dense"]
    assert scores(retrieve="lexical") == ["lexical"]
    many = docs.search_many(["xylophone", "glacier"], 60, retrieve="lexical")
    assert [len(one.hits) for one in many] == [0, 8]
    assert set(many[0].seconds) == {"encode", "retrieve_lexical", "fuse", "rank", "fetch"}


def test_phrases_are_asked_for(docs: lurcher.Collection) -> None:
    hits = docs.search('"warm windowsill", "note 1"', query_syntax="phrase").hits
    assert [hit.id for hit in hits] == ["en-animals-1"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"retrieve": "bm25"}, "retrieve"),
        ({"retrieve": None}, "retrieve"),
        ({"query_syntax": "lucene"}, "query_syntax"),
        ({"retrieve": "lexical", "neighbours": "voting"}, "neighbours.mode"),
    ],
)
def test_what_cannot_be_is_named(
    docs: lurcher.Collection, options: dict[str, str | None], field: str
) -> None:
    with pytest.raises(FieldError) as error:
        docs.search("a cat", **options)  # type: ignore[arg-type]  # wrong on purpose
    assert error.value.field == field


def test_a_bundle_without_words_says_how_to_make_one(build_once: Callable[..., Path]) -> None:
    with lurcher.open(build_once("wordless", seed=1, lexical=None), threads=1) as opened:
        assert list(opened.search("a cat", rank="off").hits[0].scores) == ["dense"]
        for options, field in (
            ({"retrieve": "lexical"}, "retrieve"),
            ({"retrieve": "hybrid"}, "retrieve"),
            ({"query_syntax": "phrase"}, "query_syntax"),
        ):
            with pytest.raises(FieldError, match="lurcher build") as error:
                opened.search("a cat", **options)  # type: ignore[arg-type]  # options of a search
            assert error.value.field == field
