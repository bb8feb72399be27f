"""A bundle without vectors, in this process: words alone find passages; what reads vectors is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lurcher
from lurcher import Collection
from lurcher.errors import FieldError
from lurcher.retrieval.results import SearchResult

NO_VECTORS = "this bundle has no vectors; `lurcher build` without --no-vectors makes one that has"
OBOE = "which instruments tune before a concert"


@pytest.fixture(scope="module")
def words(words_bundle: Path) -> Iterator[Collection]:
    with lurcher.open(words_bundle, threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def full(small_bundle: Path) -> Iterator[Collection]:
    """The same passages with vectors."""
    with lurcher.open(small_bundle, threads=1) as opened:
        yield opened


def told(result: SearchResult) -> list[tuple[str, float, dict[str, float], int]]:
    return [(hit.id, hit.score, dict(hit.scores), hit.duplicates) for hit in result.hits]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 60},
        {"filter": {"lang": "en", "year": {"gte": 2010}}},
        {"fold": True},
        {"group_by": "document", "top_k": 3},
        {"candidates": 5, "top_k": 20},  # nothing is ranked
        {"include": ["highlights"]},
    ],
)
def test_it_finds_what_words_find_beside_vectors(
    words: Collection, full: Collection, options: dict[str, Any]
) -> None:
    found = words.search(OBOE, **options)
    assert found.hits
    for retrieve in ("auto", "lexical"):
        for rank in ("auto", "off"):
            assert told(words.search(OBOE, retrieve=retrieve, rank=rank, **options)) == told(found)
    wanted = full.search(OBOE, retrieve="lexical", rank="off", **options)
    assert told(found) == told(wanted)
    assert [hit.explanation for hit in found.hits] == [hit.explanation for hit in wanted.hits]
    for hit in found.hits:
        assert hit.scores == {"lexical": hit.score}
        assert 0 < hit.score < 1


def test_a_phrase_stands_in_every_hit(words: Collection) -> None:
    found = words.search('"vor jedem Konzert"', 60, query_syntax="phrase")
    assert {hit.id for hit in found.hits} == {f"de-music-{n}" for n in range(4)}


def test_no_hits_without_a_word_in_common(words: Collection) -> None:
    assert words.search("xylophone").hits == []
    assert words.search("?!", group_by="document").hits == []


def test_a_reply_tells_of_no_vectors(words: Collection) -> None:
    parts = ["contributing_neighbours", "token_alignment", "highlights"]
    found = words.search(OBOE, include=parts)
    assert not found.truncated
    assert found.degraded == []
    assert "retrieve_dense" not in found.seconds
    for hit in found.hits:
        assert hit.explanation.contributing_neighbours == []
        assert hit.explanation.token_alignment is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retrieve": "dense"}, f"retrieve: {NO_VECTORS}"),
        ({"retrieve": "hybrid"}, f"retrieve: {NO_VECTORS}"),
        ({"neighbours": "voting"}, f"neighbours.mode: {NO_VECTORS}"),
        ({"neighbours": "adapted"}, f"neighbours.mode: {NO_VECTORS}"),
        ({"rank": "maxsim"}, "rank: this bundle has no vectors"),
        ({"rank": "decoder"}, "rank: this bundle has no vectors"),
        ({"rank": "reader"}, "rank: this bundle has no vectors"),
        ({"rank": "t5"}, "rank: this bundle has no vectors"),
    ],
)
def test_what_reads_vectors_is_refused(
    words: Collection, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(FieldError) as raised:
        words.search(OBOE, **options)
    assert str(raised.value).startswith(error)


def test_other_uses_of_an_encoder_are_refused(words: Collection) -> None:
    for side in ("query", "passage"):
        with pytest.raises(FieldError, match=f"texts: {NO_VECTORS}"):
            words.embed(["a cat"], side)
    with pytest.raises(FieldError, match=f"documents: {NO_VECTORS}"):
        words.rerank(OBOE, ["a cat"])
    with pytest.raises(FieldError, match=f"documents: {NO_VECTORS}"):
        words.rerank(OBOE, passages=["en-music-0"])
    with pytest.raises(FieldError, match="question: this bundle has no reader"):
        words.answer(OBOE)
    with pytest.raises(FieldError, match="write: this bundle has no T5"):
        words.answer(OBOE, write=True)


def test_many_queries_together_get_what_each_gets(words: Collection) -> None:
    queries = [OBOE, "xylophone", "Gletscher", "le chat dort"]
    together = words.search_many(queries, 7)
    assert [told(one) for one in together] == [told(words.search(text, 7)) for text in queries]
