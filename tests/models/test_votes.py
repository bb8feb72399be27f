"""Votes of known queries against plain loops over them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.neighbours.adapted import Array
from lurcher.models.neighbours.votes import Votes, margin_votes, mix, softmax

TEMPERATURES = st.floats(0.01, 2)
MARGINS = st.floats(-0.3, 0.3)


@st.composite
def votes(draw: st.DrawFn) -> Votes:
    """Of up to 3 queries, 4 neighbours each, some missing at the end, 0 to 3 labels each."""
    count, k = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    similarities = -np.sort(-generator.uniform(-1, 1, (count, k)), axis=1)
    present = generator.integers(0, k + 1, count)
    similarities[np.arange(k) >= present[:, None]] = -np.inf
    labels = generator.integers(0, 4, count * k) * np.isfinite(similarities.ravel())
    neighbour = np.repeat(np.arange(count * k), labels)
    return Votes(
        similarities.astype(np.float32),
        generator.integers(0, 50, (count, k)),
        neighbour,
        generator.integers(0, 9, len(neighbour)),
        generator.uniform(-1, 1, len(neighbour)).astype(np.float32),
        generator.uniform(0.1, 1, len(neighbour)).astype(np.float32),
    )


def cast_by_hand(
    of: Votes, temperature: float, margin: float, nearest: int | None = None
) -> list[float]:
    """The docstring's formula, entry by entry; a missing neighbour says nothing."""
    cast = []
    for place, known_score, label in zip(of.neighbour, of.known_score, of.label, strict=True):
        query, i = divmod(int(place), of.similarities.shape[1])
        theirs = [float(s) for s in of.similarities[query][:nearest] if s > -math.inf]
        if i >= len(theirs):
            cast.append(0.0)
            continue
        total = sum(math.exp((s - max(theirs)) / temperature) for s in theirs)
        weight = math.exp((theirs[i] - max(theirs)) / temperature) / total
        cast.append(weight * max(0.0, theirs[i] - float(known_score) - margin) * float(label))
    return cast


@given(votes(), TEMPERATURES, MARGINS)
def test_margin_votes_are_those_of_the_formula(
    of: Votes, temperature: float, margin: float
) -> None:
    found = margin_votes(of, temperature, margin)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cast_by_hand(of, temperature, margin), atol=1e-5)


@given(votes(), st.integers(1, 5), TEMPERATURES, MARGINS)
def test_only_the_nearest_have_a_say(of: Votes, k: int, temperature: float, margin: float) -> None:
    before = of.similarities.copy()
    found = margin_votes(of.nearest(k), temperature, margin)
    np.testing.assert_allclose(found, cast_by_hand(of, temperature, margin, k), atol=1e-5)
    assert of.similarities.tobytes() == before.tobytes()


@given(votes())
def test_every_vote_belongs_to_its_query(of: Votes) -> None:
    assert of.query.tolist() == [place // of.similarities.shape[1] for place in of.neighbour]


def test_where_nobody_is_known_nobody_votes() -> None:
    empty = np.zeros(0, np.int64)
    scores = np.zeros(0, np.float32)
    for k in (0, 2):
        of = Votes(
            np.full((3, k), -np.inf, np.float32), np.zeros((3, k), np.int64),
            empty, empty, scores, scores,
        )  # fmt: skip
        assert margin_votes(of, 0.1, 0).shape == (0,)
        assert of.query.shape == (0,)


@given(
    st.lists(st.one_of(st.floats(-1, 1), st.just(-math.inf)), min_size=1, max_size=6),
    TEMPERATURES,
)
def test_softmax_sums_to_1_over_those_that_are_there(row: list[float], temperature: float) -> None:
    similarities = np.array([row], np.float32)
    weights = softmax(similarities, temperature)
    there = np.isfinite(similarities)
    assert weights.dtype == np.float32
    assert (weights[~there] == 0).all()
    assert weights.sum() == pytest.approx(1 if there.any() else 0, abs=1e-5)
    if there.any():
        shifted = similarities[there].astype(float) - similarities[there].max()
        wanted = np.exp(shifted / temperature) / np.exp(shifted / temperature).sum()
        np.testing.assert_allclose(weights[there], wanted, atol=1e-5)


def test_a_cold_softmax_hears_the_nearest_a_hot_one_all() -> None:
    similarities = np.array([[0.9, 0.8, 0.1, -np.inf]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cold, hot = softmax(similarities, 1e-6), softmax(similarities, 1e6)
    np.testing.assert_allclose(cold, [[1, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(hot, [[1 / 3, 1 / 3, 1 / 3, 0]], atol=1e-5)


def test_softmax_of_each_query_is_its_own() -> None:
    similarities = np.array([[0.9, 0.5], [0.1, -np.inf], [-np.inf, -np.inf]], np.float32)
    together = softmax(similarities, 0.1)
    for i in range(3):
        np.testing.assert_array_equal(together[i], softmax(similarities[i : i + 1], 0.1)[0])
    assert together[1].tolist() == [1, 0]
    assert together[2].tolist() == [0, 0]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_mixed_scores_lie_between_both(seed: int, dense_weight: float) -> None:
    generator = np.random.default_rng(seed)
    dense: Array = generator.uniform(-1, 1, 5).astype(np.float32)
    neighbours: Array = generator.uniform(0, 1, 5).astype(np.float32)
    wanted = dense_weight * dense.astype(float) + (1 - dense_weight) * neighbours.astype(float)
    np.testing.assert_allclose(mix(dense, neighbours, dense_weight), wanted, atol=1e-6)
    each = np.array([0, 1, dense_weight, 0, 1], np.float32)
    mixed = mix(dense, neighbours, each)
    assert mixed.dtype == np.float32
    np.testing.assert_array_equal(mixed[[0, 3]], neighbours[[0, 3]])
    np.testing.assert_array_equal(mixed[[1, 4]], dense[[1, 4]])
