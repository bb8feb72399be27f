"""Every candidate has both scores exactly, whichever retriever found it and whatever else was found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import OnlineIndex
from lurcher.models.ranker.maxsim import LATE_WEIGHT
from lurcher.order import EQUAL
from lurcher.retrieval.fusion import UNRANKED, best, fuse_lexical, stand_in
from lurcher.retrieval.query import Candidates, Plan, Query, QueryFeatures, QueryState
from lurcher.retrieval.retrievers.neighbours import KnownQueries
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.encode import Encode, Planned
from lurcher.retrieval.stages.fuse import Fuse
from tests.retrieval.hybrid.searching import TEXTS, ask, encoder, lexical, word_weight

PASSAGES, WEIGHT = 60, 0.2
PLAN = Plan(None, "off", ("dense", "lexical"), PASSAGES, PASSAGES, lexical_weight=WEIGHT)

some_rows = st.sets(st.integers(0, PASSAGES - 1), max_size=20).map(
    lambda rows: np.array(sorted(rows), np.int64)
)
texts = st.sampled_from(TEXTS)


def encoded(snapshot: Snapshot, text: str) -> QueryFeatures:
    bundle = snapshot.bundle
    (state,) = Encode(encoder(snapshot), None, bundle.lexical, None)([Planned(Query(text), PLAN)])
    return state.features


def exact(snapshot: Snapshot, features: QueryFeatures, rows: Rows) -> tuple[Vectors, Vectors]:
    """The dense and the lexical score (n,) of ``rows`` (n,), one after the other."""
    bundle, terms = snapshot.bundle, features.terms
    assert terms is not None
    dense = [
        np.dot(bundle.vectors.vectors(rows[[i]])[0], features.vector) for i in range(len(rows))
    ]
    worded = [lexical(bundle).scores(terms, rows[[i]])[0] for i in range(len(rows))]
    return np.array(dense, np.float32), np.array(worded, np.float32)


def fused(
    snapshot: Snapshot, features: QueryFeatures, by_vectors: Rows, by_words: Rows, k: int = PASSAGES
) -> Candidates:
    """What becomes of these rows, the first found by vectors and the others by words."""
    dense, worded = exact(snapshot, features, by_vectors)[0], exact(snapshot, features, by_words)[1]
    state = QueryState(
        Query("", k), Plan(None, "off", PLAN.retrievers, k, k, lexical_weight=WEIGHT), None, features,
        retrieved={
            "dense": Candidates(by_vectors, {"dense": dense}),
            "lexical": Candidates(by_words, {"lexical": worded}),
        },
    )  # fmt: skip
    bundle = snapshot.bundle
    vectors, passages = bundle.vectors, bundle.passages
    nothing = OnlineIndex(vectors.dimension, passages.rows_of, vectors.vectors)
    (done,) = Fuse(vectors, bundle.lexical, KnownQueries(None, nothing))([state])
    return done.candidates


@given(texts, some_rows, some_rows, st.integers(1, 30))
def test_whichever_found_a_passage_it_has_both_scores(
    snapshot: Snapshot, text: str, by_vectors: Rows, by_words: Rows, k: int
) -> None:
    features = encoded(snapshot, text)
    everything = fused(snapshot, features, by_vectors, by_words)
    union = np.union1d(by_vectors, by_words)
    assert sorted(everything.rows.tolist()) == union.tolist()
    dense, worded = exact(snapshot, features, everything.rows)
    np.testing.assert_allclose(everything.columns["dense"], dense, atol=1e-6)
    np.testing.assert_array_equal(everything.columns["lexical"], worded)
    weight = np.float32(WEIGHT + word_weight(snapshot, text, 0.0))
    np.testing.assert_allclose(everything.score, dense + UNRANKED * weight * worded, atol=2e-6)
    assert (np.diff(everything.score) <= 0).all()
    few = fused(snapshot, features, by_vectors, by_words, k)
    assert few.rows.tolist() == everything.rows[:k].tolist()


@given(texts, some_rows, some_rows, st.integers(0, PASSAGES - 1))
def test_another_candidate_moves_no_score(
    snapshot: Snapshot, text: str, by_vectors: Rows, by_words: Rows, another: int
) -> None:
    features = encoded(snapshot, text)
    before = fused(snapshot, features, by_vectors, by_words)
    for more in (
        (np.union1d(by_vectors, [another]), by_words),
        (by_vectors, np.union1d(by_words, [another])),
    ):
        after = fused(snapshot, features, *more)
        kept = np.isin(after.rows, before.rows)
        assert after.rows[kept].tolist() == before.rows.tolist()
        np.testing.assert_allclose(after.score[kept], before.score, atol=EQUAL)


@given(texts, st.sampled_from(["hybrid", "lexical"]), st.integers(1, 60))
def test_hits_are_the_best_of_all_passages(
    snapshot: Snapshot, text: str, retrieve: str, top_k: int
) -> None:
    query = Query(text, top_k, rank="off", retrieve=retrieve)  # type: ignore[arg-type]  # one of its values
    hits = ask(snapshot, query).hits
    rows = np.arange(PASSAGES)
    dense, worded = exact(snapshot, encoded(snapshot, text), rows)
    if retrieve == "lexical":
        scores, count = worded, min(top_k, int((worded > 0).sum()))
    else:
        weight = np.float32(word_weight(snapshot, text))
        scores, count = dense + UNRANKED * weight * worded, top_k
    assert len(hits) == count
    np.testing.assert_allclose(
        [hit.score for hit in hits], np.sort(scores)[::-1][:count], atol=2e-6
    )
    row_of = snapshot.bundle.passages.rows_of([hit.id for hit in hits])
    found = [scores[row_of[hit.id]] for hit in hits]
    np.testing.assert_allclose([hit.score for hit in hits], found, atol=2e-6)


@pytest.mark.parametrize("text", TEXTS)
def test_a_ranker_stands_in_the_place_of_dense_and_words_count_half(
    snapshot: Snapshot, text: str
) -> None:
    weight = word_weight(snapshot, text)
    for retrieve in ("hybrid", "lexical"):
        for hit in ask(snapshot, Query(text, 60, retrieve=retrieve, rank="maxsim")).hits:
            scores = hit.scores
            blend = scores["dense"] + LATE_WEIGHT * (scores["maxsim"] - scores["dense"])
            assert hit.score == scores["rank"]
            assert hit.score == pytest.approx(blend + weight * scores["lexical"], abs=2e-6)


columns = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=8).map(
    lambda numbers: np.array(numbers, np.float32)
)


@given(columns, st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_fusing_adds_and_standing_in_adds_half(worded: Vectors, weight: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    dense, ranked = (draw.uniform(-1, 1, len(worded)).astype(np.float32) for _ in range(2))
    found = fuse_lexical(
        Candidates(np.arange(len(worded)), {"dense": dense, "lexical": worded}), weight
    )
    np.testing.assert_allclose(found.columns["fused"], dense + 2 * weight * worded, atol=1e-5)
    standing = stand_in(found.columns, ranked)
    np.testing.assert_allclose(standing, ranked + weight * worded, atol=1e-5)
    ordered = best(found, len(worded))
    assert (np.diff(ordered.score) <= 0).all()
    assert sorted(ordered.rows.tolist()) == list(range(len(worded)))
