"""The one order of what is found, and scores that depend on nothing but what they are of."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.order import EQUAL, Floats, best_first, evened, inner_products

SCORES = st.lists(st.floats(-1, 1, width=32), max_size=12)


@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), max_size=12), st.integers(0, 9))
def test_the_order_is_by_score_and_then_by_row(scores: list[float], seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(len(scores))
    found = best_first(np.array(scores, np.float32), rows)
    pairs = sorted((-score, row) for score, row in zip(scores, rows.tolist(), strict=True))
    assert rows[found].tolist() == [row for _, row in pairs]
    assert best_first(np.array(scores, np.float32), rows, 3).tolist() == found[:3].tolist()


@given(SCORES)
def test_scores_that_are_apart_stay_as_they_are(scores: list[float]) -> None:
    given_ = np.unique(np.array(scores, np.float32).round(5))
    assert evened(given_).tolist() == given_.tolist()


@given(SCORES, st.integers(0, 9))
def test_what_chance_set_apart_is_equal_again(scores: list[float], seed: int) -> None:
    once = np.unique(np.array(scores, np.float32).round(5))
    draw = np.random.default_rng(seed)
    noisy = np.repeat(once, 3) - draw.uniform(0, EQUAL / 2, 3 * len(once)).astype(np.float32)
    order = draw.permutation(len(noisy))
    found = np.empty_like(noisy)
    found[order] = evened(noisy[order])
    for i in range(len(once)):
        assert set(found[3 * i : 3 * i + 3].tolist()) == {noisy[3 * i : 3 * i + 3].max()}


def test_no_score_is_moved_far_by_a_chain_of_near_ones() -> None:
    chain = np.float32(0.5) - np.arange(40, dtype=np.float32) * np.float32(EQUAL * 0.6)
    assert np.abs(evened(chain) - chain).max() <= 1.2 * EQUAL


@given(st.integers(0, 2**32 - 1), st.integers(1, 130), st.sampled_from([1, 3, 7, 96, 384]))
def test_equal_vectors_have_equal_products_wherever_they_stand(
    seed: int, count: int, dimension: int
) -> None:
    draw = np.random.default_rng(seed)
    vectors: Floats = draw.standard_normal((count, dimension)).astype(np.float32)
    vector = draw.standard_normal(dimension).astype(np.float32)
    copies = draw.random(count) < 0.4
    vectors[copies] = vectors[0]
    found = inner_products(vectors, vector)
    np.testing.assert_allclose(found, vectors @ vector, atol=1e-3)
    (alone,) = inner_products(vectors[:1], vector)
    assert set(found[copies].tolist()) <= {float(alone)}
    assert inner_products(vectors[:0], vector).shape == (0,)


def test_groups_far_from_each_other_are_evened_each_for_itself() -> None:
    steps = np.array([0, 3, 6, 9, 100, 103, 200, 300, 300, 304], np.float32)
    near = (np.float32(0.25) - steps * np.float32(1e-7)).astype(np.float32)
    groups = [[0, 1], [2, 3], [4, 5], [6], [7, 8, 9]]
    expected = near.copy()
    for group in groups:
        expected[group] = near[group[0]]
    shuffled = np.random.default_rng(1).permutation(len(near))
    assert (evened(near[shuffled]) == expected[shuffled]).all()
