"""The pipeline against its slow twin: the same parts of the bundle, called one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.models.errors import FieldError, LurcherError
from lurcher.retrieval.pipeline import Pipeline, Result
from lurcher.retrieval.searching import Query


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Iterator[Pipeline]:
    bundle = Bundle.open(small_bundle)
    yield Pipeline(bundle, 1)
    bundle.close()


def twin(bundle: Bundle, query: Query) -> list[tuple[str, float]]:
    """What ``query`` finds: every passage that meets its conditions, by its inner product."""
    (vector,) = bundle.query_encoder(1).encode([query.text])
    scores, rows = bundle.vectors.search(vector[None], bundle.vectors.count)
    allowed = set(bundle.passages.rows(query.conditions)) if query.conditions else set(rows[0])
    ranked = [(int(r), float(s)) for r, s in zip(rows[0], scores[0], strict=True) if r in allowed]
    ids = [p.id for p in bundle.passages.get([row for row, _ in ranked])]
    return [(id_, s) for id_, (_, s) in zip(ids, ranked, strict=True)][: query.top_k]


def found(result: Result | LurcherError) -> list[tuple[str, float]]:
    assert isinstance(result, Result)
    return [(f.passage.id, f.score) for f in result.found]


ENGLISH = (Condition("lang", "in", ("en",)),)
QUERIES = [
    Query("a sleeping cat", rank="off"),
    Query("eine Katze", 3, ENGLISH, rank="off"),
    Query("bread", 1_000, rank="off"),
    Query(
        "glacier",
        1_000,
        (*ENGLISH, Condition("year", "range", (2010, None, None, None))),
        rank="off",
    ),
    Query("orchestra", 1, rank="off"),
    Query("no passage", 5, (Condition("year", "range", (None, None, 1900, None)),), rank="off"),
]


def test_batch_of_filtered_and_free_queries_finds_what_each_finds_alone(pipeline: Pipeline) -> None:
    for query, result in zip(QUERIES, pipeline.run(QUERIES), strict=True):
        expected = twin(pipeline.bundle, query)
        assert [id_ for id_, _ in found(result)] == [id_ for id_, _ in expected]
        assert np.allclose([s for _, s in found(result)], [s for _, s in expected], atol=1e-5)


def test_top_k_beyond_the_corpus_finds_all_there_is(pipeline: Pipeline) -> None:
    (result,) = pipeline.run([Query("bread", 1_000)])
    assert len(found(result)) == pipeline.bundle.manifest.passages == 60


def test_error_stands_in_the_place_of_the_query_at_fault(pipeline: Pipeline) -> None:
    colour = (Condition("colour", "in", ("red",)),)
    results = pipeline.run([Query("cat"), Query("cat", 5, colour), Query("bread")])
    assert [type(r) for r in results] == [Result, FieldError, Result]
    assert "filter.colour" in str(results[1])


def test_whole_passage_comes_back(pipeline: Pipeline) -> None:
    (result,) = pipeline.run([Query("The cat sleeps on the warm windowsill", 1)])
    assert isinstance(result, Result)
    passage = result.found[0].passage
    assert passage.id.startswith("en-animals-")
    assert passage.title.startswith("animals ")
    assert set(passage.metadata) == {"lang", "year", "tags", "score", "flag"}
    assert set(result.seconds) == {"encode", "search", "rank", "fetch"}


def test_long_query_is_cut_and_says_so(pipeline: Pipeline) -> None:
    short, long = pipeline.run([Query("cat"), Query("cat " * 2_000)])
    assert isinstance(short, Result)
    assert isinstance(long, Result)
    assert not short.truncated
    assert long.truncated
