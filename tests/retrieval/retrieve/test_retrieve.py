"""Retrieval and fusion against a slow reference, in every mode, with filters, and in batches."""

from __future__ import annotations

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.passages import Condition
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.retrieval.query import Query
from tests.retrieval.retrieve.first_stage import (
    AUTO_AND_MODES,
    ENGLISH,
    EXACT,
    EXPLAINED,
    HALF,
    MODES,
    MOVING,
    NEW,
    NO_EXTRAS,
    NOTHING,
    FirstStage,
    Found,
    learn,
    lively,
    one,
    same,
    scored,
)
from tests.retrieval.retrieve.reference import VOTING, Reference, TunedMode


def test_off_is_what_faiss_finds(bundle: Bundle, asked: Vectors) -> None:
    scores, rows = bundle.vectors.search(asked, 10)
    queries = [Query("", 10, neighbours="off", extras=EXPLAINED)] * len(asked)
    for hits, score, row in zip(FirstStage(bundle).run(queries, asked), scores, rows, strict=True):
        assert isinstance(hits, Found)
        np.testing.assert_allclose(hits.dense, score, atol=2e-6)
        # Of equal scores FAISS may name others, in any order.
        clear = np.abs(score - score[-1]) > EXACT
        assert set(row[clear].tolist()) == set(hits.rows[clear].tolist())
        assert np.lexsort((hits.rows, -hits.dense)).tolist() == list(range(10))
        assert (hits.neighbours, hits.fused) == (None, None)
        assert hits.contributing == [[]] * 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("top_k", [1, 7, 1_000])
def test_every_mode_ranks_as_its_formula_does(
    bundle: Bundle, asked: Vectors, mode: TunedMode, weight: float | None, top_k: int
) -> None:
    stage, reference = FirstStage(bundle), Reference.of(bundle)
    for vector in asked:
        hits = one(stage, Query("", top_k, neighbours=mode, dense_weight=weight), vector)
        count = len(reference.passages)
        same(hits, reference.scores(vector, mode, weight), top_k, range(count), EXACT)
        np.testing.assert_allclose(hits.dense, reference.passages[hits.rows] @ vector, atol=EXACT)
        if mode == "voting":
            assert hits.neighbours is not None
            votes = reference.votes(vector, VOTING)[hits.rows]
            np.testing.assert_allclose(hits.neighbours, votes, atol=EXACT)


@pytest.mark.parametrize(
    "voting",
    [
        VotingSettings(neighbours=1, temperature=0.05, margin=0.0, dense_weight=0.2),
        VotingSettings(neighbours=64, temperature=1.0, margin=-0.1, dense_weight=0.7),
        VotingSettings(neighbours=16, temperature=0.1, margin=0.25, dense_weight=0.5),
    ],
)
def test_votes_are_counted_by_the_tuned_settings(
    bundle: Bundle, asked: Vectors, voting: VotingSettings
) -> None:
    tuned = lively(bundle, voting=voting)
    stage, reference = FirstStage(tuned), Reference.of(tuned)
    for vector in asked:
        hits = one(stage, Query("", 20), vector)
        same(hits, reference.scores(vector, "voting", None, voting), 20, range(60), EXACT)


@pytest.mark.parametrize("mode", MOVING)
def test_a_lambda_of_1_gives_the_bare_order(
    bundle: Bundle, asked: Vectors, mode: TunedMode
) -> None:
    stage = FirstStage(bundle)
    for vector in asked:
        hits = one(stage, Query("", 20, neighbours=mode, dense_weight=1.0), vector)
        bare = one(stage, Query("", 20, neighbours="off"), vector)
        # Copies of a passage have the same vector, and any order.
        np.testing.assert_allclose(scored(hits), bare.dense, atol=EXACT)
        np.testing.assert_allclose(hits.dense, bare.dense, atol=EXACT)


def test_where_only_votes_count_the_rest_follows_in_the_bare_order(
    bundle: Bundle, asked: Vectors
) -> None:
    for vector in asked:
        hits = one(FirstStage(bundle), Query("", 60, neighbours="voting", dense_weight=0.0), vector)
        assert hits.neighbours is not None
        rest = hits.dense[hits.neighbours == 0]
        assert len(rest) > 20
        assert (np.diff(rest) <= 0).all()


# Filters.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("conditions", [ENGLISH, (Condition("flag", "in", (True,)),), NOTHING])
@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("weight", [None, 0.4])
def test_only_what_passes_a_filter_comes_back(
    bundle: Bundle, asked: Vectors, mode: TunedMode, conditions: tuple[Condition, ...], learnt: bool,
    weight: float | None,
) -> None:  # fmt: skip
    stage, reference = FirstStage(bundle), Reference.of(bundle)
    if learnt:
        learn(stage, reference, {f"new {i}": (asked[i], {i: 1.0, 30 + i: 1.0}) for i in range(8)})
    allowed = bundle.passages.rows(conditions).tolist()
    for vector in asked:
        query = Query("", 5, conditions, neighbours=mode, dense_weight=weight)
        hits = one(stage, query, vector)
        same(hits, reference.scores(vector, mode, weight), 5, allowed, HALF if learnt else EXACT)


# Batches and modes.


def test_a_mixed_batch_finds_what_each_finds_alone(bundle: Bundle, asked: Vectors) -> None:
    stage = FirstStage(bundle)
    learn(stage, None, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    colour = (Condition("colour", "in", ("red",)),)
    queries = [
        Query("", 5, conditions, mode, weight, extras=extras)
        for mode in AUTO_AND_MODES
        for conditions in ((), ENGLISH, NOTHING, colour)
        for weight, extras in ((None, EXPLAINED), (0.0, NO_EXTRAS), (0.7, EXPLAINED))
    ]
    order = np.random.default_rng(0).permutation(len(queries))
    queries = [queries[i] for i in order]
    vectors = asked[np.arange(len(queries)) % len(asked)]
    together = stage.run(queries, vectors)
    for query, vector, hits in zip(queries, vectors, together, strict=True):
        (alone,) = stage.run([query], vector[None])
        if query.conditions == colour:
            assert isinstance(hits, FieldError)
            assert str(hits) == str(alone)
            continue
        assert isinstance(hits, Found)
        assert isinstance(alone, Found)
        assert hits.rows.tolist() == alone.rows.tolist()
        np.testing.assert_allclose(scored(hits), scored(alone), atol=1e-6)
        assert (hits.contributing is None) == (alone.contributing is None)
        assert (hits.contributing is None) == (not query.extras or not len(hits.rows))
        for some, others in zip(hits.contributing or [], alone.contributing or [], strict=True):
            assert [s.text for s in some] == [s.text for s in others]
    assert stage.run([], asked[:0]) == []


def test_adapted_needs_known_queries(plain: Bundle, asked: Vectors) -> None:
    queries = [
        Query("", neighbours="adapted"),
        Query("", neighbours="off"),
        Query("", neighbours="voting", extras=EXPLAINED),
    ]
    error, off, voting = FirstStage(plain).run(queries, asked[:3])
    assert isinstance(error, FieldError)
    assert error.field == "neighbours.mode"
    assert "lurcher adapt" in error.reason
    bare = [one(FirstStage(plain), Query("", neighbours="off"), vector) for vector in asked[1:3]]
    for hits, wanted in zip((off, voting), bare, strict=True):
        assert isinstance(hits, Found)
        assert hits.rows.tolist() == wanted.rows.tolist()
        assert (hits.neighbours, hits.fused) == (None, None)
        assert not any(hits.contributing or [])


@pytest.mark.parametrize("mode", MODES)
def test_auto_is_what_was_tuned(bundle: Bundle, asked: Vectors, mode: TunedMode) -> None:
    stage = FirstStage(lively(bundle, mode))
    for vector in asked:
        auto, named = (one(stage, Query("", neighbours=m), vector) for m in ("auto", mode))
        assert auto.rows.tolist() == named.rows.tolist()
        assert scored(auto).tolist() == scored(named).tolist()
