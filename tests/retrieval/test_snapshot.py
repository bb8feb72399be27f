"""A snapshot against its slow reference, the same parts of the bundle called one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError, LurcherError, ModelError
from lurcher.feedback.online import Change
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.rerank import RerankRequest
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.pointing import Failing, Pointing, pointed

PATIENCE = 30


@pytest.fixture(scope="module")
def snapshot(small_bundle: Path) -> Iterator[Snapshot]:
    with closing(Bundle.open(small_bundle)) as bundle:
        yield Snapshot(bundle, 1)


def reference(bundle: Bundle, query: Query) -> list[tuple[str, float]]:
    """What ``query`` finds: every passage that meets its conditions, by its inner product."""
    (vector,) = bundle.query_encoder(1).encode([query.text])
    scores, rows = bundle.vectors.search(vector[None], bundle.vectors.count)
    allowed = set(bundle.passages.rows(query.conditions)) if query.conditions else set(rows[0])
    ranked = [(int(r), float(s)) for r, s in zip(rows[0], scores[0], strict=True) if r in allowed]
    ids = [p.id for p in bundle.passages.get([row for row, _ in ranked])]
    return [(id_, s) for id_, (_, s) in zip(ids, ranked, strict=True)][: query.top_k]


def hits(result: SearchResult | LurcherError) -> list[tuple[str, float]]:
    assert isinstance(result, SearchResult)
    return [(hit.id, hit.score) for hit in result.hits]


ENGLISH = (Condition("lang", "in", ("en",)),)
COLOUR = (Condition("colour", "in", ("red",)),)
QUERIES = [
    Query("a sleeping cat", rank="off", retrieve="dense"),
    Query("eine Katze", 3, ENGLISH, rank="off", retrieve="dense"),
    Query("bread", 1_000, rank="off", retrieve="dense"),
    Query(
        "glacier",
        1_000,
        (*ENGLISH, Condition("year", "range", (2010, None, None, None))),
        rank="off",
        retrieve="dense",
    ),
    Query("orchestra", 1, rank="off", retrieve="dense"),
    Query(
        "no passage",
        5,
        (Condition("year", "range", (None, None, 1900, None)),),
        rank="off",
        retrieve="dense",
    ),
]


def test_batch_of_filtered_and_free_queries_finds_what_each_finds_alone(snapshot: Snapshot) -> None:
    for query, result in zip(QUERIES, snapshot.run(QUERIES), strict=True):
        expected = reference(snapshot.bundle, query)
        assert [id_ for id_, _ in hits(result)] == [id_ for id_, _ in expected]
        assert np.allclose([s for _, s in hits(result)], [s for _, s in expected], atol=1e-5)


def test_top_k_beyond_the_corpus_finds_all_there_is(snapshot: Snapshot) -> None:
    (result,) = snapshot.run([Query("bread", 1_000)])
    assert len(hits(result)) == snapshot.bundle.manifest.passages == 60


def test_whole_passage_comes_back(snapshot: Snapshot) -> None:
    (result,) = snapshot.run([Query("The cat sleeps on the warm windowsill", 1)])
    assert isinstance(result, SearchResult)
    hit = result.hits[0]
    assert hit.id == hit.passage.id
    assert hit.id.startswith("en-animals-")
    assert hit.title.startswith("animals ")
    assert set(hit.passage.metadata) == {"lang", "year", "tags", "score", "flag"}
    assert set(result.seconds) == {
        "encode",
        "retrieve_dense",
        "retrieve_lexical",
        "fuse",
        "rank",
        "fetch",
    }


def test_a_stage_that_no_query_of_the_batch_needs_is_not_timed(snapshot: Snapshot) -> None:
    plain = Query("bread")
    explained = replace(plain, extras=frozenset({"highlights"}))
    for queries, timed in (([plain], False), ([plain, explained], True)):
        for result in snapshot.run(queries):
            assert isinstance(result, SearchResult)
            assert ("explain" in result.seconds) is timed
            assert "read" not in result.seconds


def test_long_query_is_cut_and_says_so(snapshot: Snapshot) -> None:
    short, long = snapshot.run([Query("cat"), Query("cat " * 2_000)])
    assert isinstance(short, SearchResult)
    assert isinstance(long, SearchResult)
    assert not short.truncated
    assert long.truncated


# Failures.


def test_error_stands_in_the_place_of_the_query_at_fault(snapshot: Snapshot) -> None:
    results = snapshot.run([Query("cat"), Query("cat", 5, COLOUR), Query("bread")])
    assert [type(r) for r in results] == [SearchResult, FieldError, SearchResult]
    assert "filter.colour" in str(results[1])
    assert [hits(results[0]), hits(results[2])] == [
        hits(one) for one in snapshot.run([Query("cat"), Query("bread")])
    ]


def test_a_batch_of_nothing_and_one_of_wrong_queries_alone_are_answered(
    snapshot: Snapshot,
) -> None:
    assert snapshot.run([]) == []
    assert [type(one) for one in snapshot.run([Query("cat", 5, COLOUR)] * 2)] == [FieldError] * 2


def test_a_query_that_fails_leaves_the_batch_once(answering_bundle: Path) -> None:
    """No later stage sees it, and the queries beside it are as without it."""

    engine = Failing()
    with closing(Bundle.open(answering_bundle)) as opened:
        snapshot = Snapshot(pointed(opened, engine), 1)
        wrong = Query("who built it", 4, rank="reader", read=ReadOptions())
        fine = Query("a telescope", 2)
        (alone,) = snapshot.run([fine])
        failed, beside = snapshot.run([wrong, fine])
    assert isinstance(failed, ModelError)
    assert len(engine.runs) == 1  # ranking failed, so nothing was read for answers
    assert hits(beside) == hits(alone)
    assert isinstance(beside, SearchResult)
    assert "read" not in beside.seconds  # the only query that it was for had left


# What else a snapshot does.


def test_what_is_learnt_is_found_by_the_next_search(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        snapshot = Snapshot(bundle, 1)
        query = Query("a sleepy pet", 1, rank="off", retrieve="dense")
        (before,) = snapshot.run([query])
        assert hits(before)[0][0] != "fr-music-3"
        assert isinstance(before, SearchResult)
        assert set(before.hits[0].scores) == {"dense"}  # planned without known queries
        snapshot.learn([Change("a sleepy pet", "fr-music-3", 5.0)])
        (after,) = snapshot.run([query])
        assert hits(after)[0][0] == "fr-music-3"
        assert isinstance(after, SearchResult)
        assert set(after.hits[0].scores) == {"dense", "neighbours", "fused"}


def test_vectors_of_texts_are_those_that_searches_compare(snapshot: Snapshot) -> None:
    passage = snapshot.bundle.passages.get([7])[0]
    np.testing.assert_allclose(
        snapshot.encode_passages([passage.content]),
        snapshot.bundle.vectors.vectors(np.array([7])),
        atol=1e-3,
    )
    (vector,) = snapshot.encode_queries(["bread"])
    (result,) = snapshot.run([Query("bread", 60, rank="off")])
    scores = snapshot.bundle.vectors.vectors(np.arange(60)) @ vector
    assert [s for _, s in hits(result)] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)


def test_a_bundle_without_tokens_encodes_passages_but_cannot_rerank(
    tokenless_bundle: Path,
) -> None:
    with closing(Bundle.open(tokenless_bundle)) as bundle:
        snapshot = Snapshot(bundle, 1)
        passage = bundle.passages.get([3])[0]
        np.testing.assert_allclose(
            snapshot.encode_passages([passage.content]),
            bundle.vectors.vectors(np.array([3])),
            atol=1e-3,
        )
        (error,) = snapshot.rerank([RerankRequest("bread", np.arange(2))])
        assert isinstance(error, FieldError)
        assert "lurcher build" in error.reason
        with pytest.raises(FieldError, match="lurcher build"):
            snapshot.encode_documents([])


def test_warming_up_goes_through_every_stage(answering_bundle: Path) -> None:
    engine, costs = Pointing(), CostModel()
    with closing(Bundle.open(answering_bundle)) as opened:
        snapshot = Snapshot(pointed(opened, engine), 1, costs=costs)
        before = {kind: costs.estimate(kind, 1) for kind in ("maxsim", "read")}
        snapshot.warm_up()
    assert engine.runs
    assert all(costs.estimate(kind, 1) != before[kind] for kind in before)


def test_warming_up_tells_what_is_wrong(answering_bundle: Path) -> None:
    with closing(Bundle.open(answering_bundle)) as opened:
        snapshot = Snapshot(pointed(opened, Failing()), 1)
        with pytest.raises(ModelError, match="cannot be run"):
            snapshot.warm_up()
