"""Passages moved towards their known queries: scores against vectors that are really moved."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.neighbours.adapted import (
    adapted_scores,
    adapted_vectors,
    gated_scores,
    unit,
)
from lurcher.models.neighbours.nearness import Array, nearness

DIMENSION = 8
SEEDS = st.integers(0, 2**32 - 1)
LAMBDAS = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))


def points(seed: int, count: int) -> Array:
    """Vectors (count, d) at norm 1, no two of them opposite."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return unit(drawn + 1)


def sides(seed: int, count: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    """A query (d,), passages and means (n, d), and the three inner products of each, (n,)."""
    drawn = points(seed, 2 * count + 1)
    query, passages, means = drawn[0], drawn[1 : count + 1], drawn[count + 1 :]
    agreement = (passages * means).sum(axis=1)
    return query, passages, means, passages @ query, means @ query, agreement


def moved(passage: Array, mean: Array, dense_weight: float) -> Array:
    """e_j of one passage, in double precision and plain words."""
    if not mean.any():
        return passage
    mixed = dense_weight * passage.astype(float) + (1 - dense_weight) * mean.astype(float)
    return np.asarray(mixed / np.sqrt((mixed**2).sum()), np.float32)


@given(SEEDS, LAMBDAS)
def test_vectors_are_those_of_the_formula(seed: int, dense_weight: float) -> None:
    _, passages, means, *_ = sides(seed, 6)
    means[::3] = 0
    found = adapted_vectors(passages, means, dense_weight)
    wanted = [moved(p, n, dense_weight) for p, n in zip(passages, means, strict=True)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@given(SEEDS, LAMBDAS)
def test_without_known_queries_a_vector_stays_bit_for_bit(seed: int, dense_weight: float) -> None:
    passages = 3 * points(seed, 4)  # not even at norm 1
    found = adapted_vectors(passages, np.zeros_like(passages), dense_weight)
    assert found.tobytes() == passages.tobytes()


@given(SEEDS, LAMBDAS)
def test_scores_are_those_of_the_moved_vectors(seed: int, dense_weight: float) -> None:
    query, passages, means, dense, mean, agreement = sides(seed, 6)
    wanted = adapted_vectors(passages, means, dense_weight) @ query
    found = adapted_scores(dense, mean, agreement, dense_weight)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@given(SEEDS, st.lists(LAMBDAS, min_size=6, max_size=6))
def test_each_passage_may_have_a_lambda_of_its_own(seed: int, lambdas: list[float]) -> None:
    _, _, _, dense, mean, agreement = sides(seed, 6)
    together = adapted_scores(dense, mean, agreement, np.array(lambdas, np.float32))
    one_by_one = [
        adapted_scores(dense[i : i + 1], mean[i : i + 1], agreement[i : i + 1], weight)[0]
        for i, weight in enumerate(lambdas)
    ]
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_the_ends_are_the_passage_and_its_mean() -> None:
    _, passages, means, dense, mean, agreement = sides(1, 6)
    np.testing.assert_allclose(adapted_scores(dense, mean, agreement, 1), dense, atol=1e-6)
    np.testing.assert_allclose(adapted_scores(dense, mean, agreement, 0), mean, atol=1e-6)
    np.testing.assert_allclose(adapted_vectors(passages, means, 1), passages, atol=1e-6)
    np.testing.assert_allclose(adapted_vectors(passages, means, 0), means, atol=1e-6)


def test_what_cancels_out_scores_nothing() -> None:
    """Half way between opposite vectors there is no direction; the score stays finite all the same."""
    passage = points(2, 1)
    query = passage[0]
    found = adapted_scores(passage @ query, -passage @ query, np.array([-1], np.float32), 0.5)
    assert found.tolist() == [0]
    assert not adapted_vectors(passage, -passage, 0.5).any()


@given(SEEDS)
def test_unit_brings_vectors_to_norm_1_and_leaves_zeros(seed: int) -> None:
    vectors = 5 * points(seed, 4)
    vectors[1] = 0
    found = unit(vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1, 1], atol=1e-6)
    np.testing.assert_allclose(found[0] * np.linalg.norm(vectors[0]), vectors[0], atol=1e-5)


@given(SEEDS, LAMBDAS)
def test_only_as_far_as_a_query_is_near_does_it_find_a_passage_moved(
    seed: int, dense_weight: float
) -> None:
    *_, dense, mean, agreement = sides(seed, 6)
    found = gated_scores(dense, mean, agreement, dense_weight)
    whole = adapted_scores(dense, mean, agreement, dense_weight)
    near = nearness(mean)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[near == 0], dense[near == 0])
    np.testing.assert_allclose(found, dense + near * (whole - dense), atol=1e-6)
    padded = gated_scores(np.float32([-np.inf]), np.float32([0]), np.float32([0]), dense_weight)
    assert padded.tolist() == [-np.inf]
