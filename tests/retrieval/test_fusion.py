"""Fusion, on made-up candidates: nothing lost, nothing doubled, and the scores that the formulas give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.neighbours.nearness import nearness
from lurcher.models.neighbours.votes import boost, raised
from lurcher.retrieval.fusion import (
    adapted_weights,
    best,
    filled,
    fuse_adapted,
    fuse_votes,
    stand_in,
)
from lurcher.retrieval.query import NO_CANDIDATES, Candidates

DIMENSION, PASSAGES = 4, 12

seeds = st.integers(0, 2**32 - 1)
weights = st.floats(0, 1, width=32)
depths = st.integers(1, PASSAGES + 3)


def units(draw: np.random.Generator, count: int) -> Vectors:
    vectors = draw.standard_normal((count, DIMENSION)).astype(np.float32)
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


def dense_candidates(scores: Vectors, k: int) -> Candidates:
    rows = np.argsort(-scores, kind="stable")[:k]
    return Candidates(rows, {"dense": scores[rows]})


def voted_candidates(draw: np.random.Generator) -> Candidates:
    """Some of the passages in the order of rows, a third of them without a vote that counts."""
    rows = np.flatnonzero(draw.random(PASSAGES) < draw.random())
    votes = np.where(draw.random(len(rows)) < 1 / 3, 0, draw.random(len(rows)))
    return Candidates(rows, {"neighbours": votes.astype(np.float32)})


def fused_by_votes(
    dense: Candidates, voted: Candidates, scores: Vectors, weight: float, k: int
) -> Candidates:
    """The best ``k`` of both, by the ``scores`` (n,) of all passages."""
    voted = voted.take(np.flatnonzero(voted.columns["neighbours"] > 0))
    rows = np.union1d(dense.rows, voted.rows)
    return best(fuse_votes(filled("dense", dense, rows, scores.__getitem__), voted, weight), k)


@given(seeds, weights, depths)
def test_votes_give_the_best_of_all_passages_by_the_formula(
    seed: int, weight: float, k: int
) -> None:
    draw = np.random.default_rng(seed)
    passages, (vector,) = units(draw, PASSAGES), units(draw, 1)
    scores = passages @ vector
    voted = voted_candidates(draw)
    fused = fused_by_votes(dense_candidates(scores, k), voted, scores, weight, k)
    votes = np.zeros(PASSAGES, np.float32)
    votes[voted.rows] = voted.columns["neighbours"]
    wanted = raised(scores, boost(votes, weight))
    rows = fused.rows
    assert len(set(rows.tolist())) == len(rows) == min(k, PASSAGES)
    np.testing.assert_allclose(fused.columns["fused"], wanted[rows], atol=1e-5)
    np.testing.assert_allclose(fused.columns["fused"], np.sort(wanted)[::-1][:k], atol=1e-5)
    np.testing.assert_allclose(fused.columns["dense"], scores[rows], atol=1e-6)
    np.testing.assert_array_equal(fused.columns["neighbours"], votes[rows])
    np.testing.assert_array_equal(fused.columns["boost"], boost(votes, weight)[rows])


@given(seeds, depths)
def test_only_missing_scores_are_computed(seed: int, k: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.uniform(-1, 1, PASSAGES).astype(np.float32)
    asked: list[int] = []

    def computed(rows: Rows) -> Vectors:
        asked.extend(rows.tolist())
        return scores[rows]

    dense, others = dense_candidates(scores, k), np.flatnonzero(draw.random(PASSAGES) < 0.5)
    rows = np.union1d(dense.rows, others)
    found = filled("dense", dense, rows, computed)
    assert asked == sorted(set(others.tolist()) - set(dense.rows.tolist()))
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.columns["dense"], scores[rows])


@given(seeds, st.floats(0, 1, exclude_min=True, width=32))
def test_without_votes_the_dense_order_stays(seed: int, weight: float) -> None:
    draw = np.random.default_rng(seed)
    passages, (vector,) = units(draw, PASSAGES), units(draw, 1)
    dense = dense_candidates(passages @ vector, 8)
    nothing = Candidates(np.zeros(0, np.int64), {"neighbours": np.zeros(0, np.float32)})
    fused = fused_by_votes(dense, nothing, passages @ vector, weight, 8)
    np.testing.assert_array_equal(fused.columns["dense"], dense.columns["dense"])
    np.testing.assert_array_equal(fused.columns["fused"], dense.columns["dense"])
    assert (fused.columns["neighbours"] == 0).all()


@given(seeds)
def test_with_a_lambda_of_0_votes_decide_and_equal_ones_are_in_the_dense_order(seed: int) -> None:
    draw = np.random.default_rng(seed)
    passages, (vector,) = units(draw, PASSAGES), units(draw, 1)
    dense = dense_candidates(passages @ vector, PASSAGES)
    voted = voted_candidates(draw)
    fused = fused_by_votes(dense, voted, passages @ vector, 0.0, PASSAGES)
    votes, own = fused.columns["neighbours"], fused.columns["dense"]
    assert (np.diff(votes) <= 2 / 99).all()  # a lambda of 0 counts as .01
    for vote in set(votes.tolist()):
        assert (np.diff(own[votes == vote]) <= 0).all()


def unit(vector: Vectors) -> Vectors:
    normed: Vectors = vector / np.linalg.norm(vector)
    return normed


@given(seeds, st.floats(0, 1, width=32).filter(lambda w: abs(w - 0.5) > 0.01), depths)
def test_adapted_scores_are_inner_products_with_moved_passages(
    seed: int, weight: float, k: int
) -> None:
    draw = np.random.default_rng(seed)
    passages, means, (vector,) = units(draw, PASSAGES), units(draw, PASSAGES), units(draw, 1)
    means[draw.random(PASSAGES) < 0.5] = 0
    rows = np.arange(100, 100 + PASSAGES)
    found = Candidates(rows, {"dense": passages @ vector})
    fused = best(fuse_adapted(found, passages, means, vector, weight), k)
    moved = np.array(
        [
            unit(weight * passage + (1 - weight) * mean) if mean.any() else passage
            for passage, mean in zip(passages, means, strict=True)
        ]
    )
    dense, near = passages @ vector, nearness(means @ vector)
    wanted = dense + near * (moved @ vector - dense)
    places = fused.rows - 100
    assert len(set(places.tolist())) == len(places) == min(k, PASSAGES)
    np.testing.assert_allclose(fused.columns["fused"], wanted[places], atol=2e-4)
    assert (np.diff(fused.columns["fused"]) <= 0).all()
    np.testing.assert_allclose(fused.columns["dense"], (passages @ vector)[places], atol=1e-6)
    np.testing.assert_allclose(fused.columns["neighbours"], (means @ vector)[places], atol=1e-6)
    expected = (1 - near * (1 - weight))[places]
    np.testing.assert_allclose(fused.columns["dense_weight"], expected, atol=1e-6)


def test_a_passage_that_no_known_query_near_moved_keeps_all_its_weight() -> None:
    assert adapted_weights(np.array([0, 0.2, 0.9], np.float32), 0.25).tolist() == [1, 1, 0.25]


# What a ranker's score does to the first stage's.


def test_a_rankers_score_alone_where_no_known_query_counts() -> None:
    scores = np.array([0.3, 0.9], np.float32)
    assert stand_in({"dense": np.zeros(2, np.float32)}, scores) is scores


@given(seeds)
def test_votes_raise_a_rankers_score_as_they_raise_the_dense_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    dense, scores = (draw.uniform(-1, 1, 6).astype(np.float32) for _ in range(2))
    boosts = np.where(draw.random(6) < 0.5, 0, draw.random(6)).astype(np.float32)
    columns = {"dense": dense, "fused": raised(dense, boosts), "boost": boosts}
    found = stand_in(columns, scores)
    np.testing.assert_array_equal(found, raised(scores, boosts))
    np.testing.assert_array_equal(stand_in(columns, scores + 1, bent=False), scores + 1 + boosts)
    np.testing.assert_array_equal(found[boosts == 0], scores[boosts == 0])
    np.testing.assert_array_equal(stand_in(columns, dense), columns["fused"])


def test_of_a_moved_passage_a_ranker_gets_the_part_that_dense_has() -> None:
    dense, fused, scores, weight = (
        np.array(column, np.float32) for column in ([0.2, 0.6], [0.5, 0.6], [0.4, 0.1], [0.4, 1.0])
    )
    columns = {"dense": dense, "fused": fused, "adapted": fused, "dense_weight": weight}
    np.testing.assert_allclose(stand_in(columns, scores), [0.58, 0.1], atol=1e-6)


# Candidates.


def test_candidates_are_ordered_by_the_last_stage_that_scored_them() -> None:
    rows = np.array([5, 3])
    dense, fused, rank = (np.array([low, low + 1], np.float32) for low in (1, 3, 5))
    found = Candidates(rows, {"dense": dense})
    assert found.score is dense
    found = Candidates(rows, {"dense": dense, "fused": fused})
    assert found.score is fused
    turned = found.take(np.array([1, 0]), rank=rank)
    assert turned.score.tolist() == [6, 5]
    assert turned.rows.tolist() == [3, 5]
    assert {name: column.tolist() for name, column in turned.columns.items()} == {
        "dense": [2, 1],
        "fused": [4, 3],
        "rank": [6, 5],
    }
    assert found.rows.tolist() == [5, 3]  # nothing was changed


@pytest.mark.parametrize("k", [1, 3])
def test_no_candidates_at_all_fuse_to_none(k: int) -> None:
    nothing = Candidates(np.zeros(0, np.int64), {"neighbours": np.zeros(0, np.float32)})
    vector = np.ones(DIMENSION, np.float32)
    empty = np.zeros((0, DIMENSION), np.float32)
    fused = fused_by_votes(NO_CANDIDATES, nothing, np.zeros(0, np.float32), 0.5, k)
    assert len(fused.rows) == len(NO_CANDIDATES.rows) == 0
    assert len(best(fuse_adapted(NO_CANDIDATES, empty, empty, vector, 0.5), k).rows) == 0
