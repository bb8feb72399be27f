"""Votes of known queries against plain loops over them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.neighbours.nearness import FAR, NEAR, nearness
from lurcher.models.neighbours.votes import Votes, boost, margin_votes, raised, weights

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
        near = [min(max((s - FAR) / (NEAR - FAR), 0), 1) for s in theirs]
        force = [
            n * math.exp((s - max(theirs)) / temperature) for n, s in zip(near, theirs, strict=True)
        ]
        weight = near[i] * force[i] / sum(force) if sum(force) else 0.0
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


ROWS = st.lists(st.one_of(st.floats(-1, 1, width=32), st.just(-math.inf)), min_size=1, max_size=6)


@given(ROWS, TEMPERATURES)
def test_where_all_are_near_weights_are_a_softmax(row: list[float], temperature: float) -> None:
    similarities = np.array([row], np.float32)
    similarities = np.where(similarities < NEAR, -np.inf, similarities).astype(np.float32)
    found = weights(similarities, temperature)
    there = np.isfinite(similarities)
    assert found.dtype == np.float32
    assert (found[~there] == 0).all()
    assert found.sum() == pytest.approx(1 if there.any() else 0, abs=1e-5)
    if there.any():
        shifted = similarities[there].astype(float) - similarities[there].max()
        wanted = np.exp(shifted / temperature) / np.exp(shifted / temperature).sum()
        np.testing.assert_allclose(found[there], wanted, atol=1e-5)


@given(ROWS, st.lists(st.floats(-1, FAR, width=32), max_size=4), TEMPERATURES)
def test_those_that_are_not_near_take_no_weight_from_others(
    row: list[float], far: list[float], temperature: float
) -> None:
    alone = weights(np.array([row], np.float32), temperature)
    together = weights(np.array([row + far], np.float32), temperature)
    np.testing.assert_allclose(together[:, : len(row)], alone, atol=1e-6)
    assert (together[:, len(row) :] == 0).all()


@given(ROWS, st.floats(-1, 1), TEMPERATURES)
def test_no_weight_jumps_as_a_neighbour_comes_nearer(
    row: list[float], one: float, temperature: float
) -> None:
    step = 1e-4
    before, after = (
        weights(np.array([[*row, s]], np.float32), temperature) for s in (one, one + step)
    )
    # No weight changes faster than nearness and the softmax do together.
    steepest = 2 / (NEAR - FAR) + 1 / temperature
    np.testing.assert_allclose(after, before, atol=2 * step * steepest + 1e-5)


def test_a_cold_softmax_hears_the_nearest_a_hot_one_all() -> None:
    similarities = np.array([[0.9, 0.8, 0.5, -np.inf]], np.float32)
    cold, hot = weights(similarities, 1e-6), weights(similarities, 1e6)
    np.testing.assert_allclose(cold, [[1, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(hot, [[1 / 3, 1 / 3, 1 / 3, 0]], atol=1e-5)


def test_weights_of_each_query_are_its_own() -> None:
    similarities = np.array([[0.9, 0.5], [0.45, -np.inf], [-np.inf, -np.inf]], np.float32)
    together = weights(similarities, 0.1)
    for i in range(3):
        np.testing.assert_array_equal(together[i], weights(similarities[i : i + 1], 0.1)[0])
    assert together[1].tolist() == [1, 0]
    assert together[2].tolist() == [0, 0]


def test_nearness_rises_from_far_to_near() -> None:
    found = nearness(np.array([-np.inf, -1, FAR, (FAR + NEAR) / 2, NEAR, 1], np.float32))
    np.testing.assert_allclose(found, [0, 0, 0, 0.5, 1, 1], atol=1e-6)


# What votes add to a score.

SCORES = st.floats(-1, 1, width=32)
BOOSTS = st.floats(0, 50, width=32)


@given(SCORES, BOOSTS)
def test_a_raised_score_stays_on_the_scale_of_cosines(score: float, added: float) -> None:
    (found,) = raised(np.array([score], np.float32), np.array([added], np.float32))
    assert score <= found <= 1
    if added == 0:
        assert found == np.float32(score)
    if score + added <= 0.8:
        assert found == pytest.approx(score + added, abs=1e-6)


@given(SCORES, SCORES, BOOSTS, BOOSTS)
def test_raised_scores_are_in_the_order_of_the_sums(
    one: float, other: float, first: float, second: float
) -> None:
    scores, boosts = np.array([one, other], np.float32), np.array([first, second], np.float32)
    sums = scores + boosts
    if sums[0] < sums[1] and scores[0] <= 0.8:  # what is above .8 by itself may stay before
        found = raised(scores, boosts)
        assert found[0] <= found[1]


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_the_order_is_that_of_both_parts_weighed_by_lambda(dense_weight: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    dense = draw.uniform(-0.2, 0.8, 6).astype(np.float32)
    neighbours = draw.uniform(0, 0.5, 6).astype(np.float32)
    found = raised(dense, boost(neighbours, dense_weight)).astype(float)
    least = max(dense_weight, 0.01)
    wanted = least * dense.astype(float) + (1 - dense_weight) * neighbours.astype(float)
    order = np.argsort(-wanted)
    assert (np.diff(found[order]) <= 1e-5).all()


def test_with_a_lambda_of_1_votes_add_nothing() -> None:
    assert boost(np.array([0.5, 1], np.float32), 1.0).tolist() == [0, 0]
