"""PEFA as published, and NUDGE, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.pefa_formulas import mix, nudge_scores, per_passage_weight, published_votes
from lurcher.models.neighbours.nearness import Array
from lurcher.models.neighbours.votes import Votes
from tests.models.test_adapted import SEEDS, sides
from tests.models.test_votes import votes


@given(votes(), st.booleans())
def test_published_votes_are_those_of_the_paper(of: Votes, mean: bool) -> None:
    k = of.similarities.shape[1]
    wanted = [
        float(of.similarities[divmod(int(place), k)]) * (1 / k if mean else 1)
        for place in of.neighbour
    ]
    np.testing.assert_allclose(published_votes(of, mean), wanted, atol=1e-6)


@given(st.floats(0.01, 100), st.lists(st.integers(0, 1_000), min_size=1, max_size=9))
def test_the_more_queries_are_known_the_more_they_count(strength: float, known: list[int]) -> None:
    found = per_passage_weight(strength, np.array(known))
    wanted = [strength / (strength + count) for count in known]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert per_passage_weight(strength, np.array([0])).tolist() == [1]


def turned(passage: Array, mean: Array, reach: float) -> Array:
    """``passage`` turned towards ``mean`` on the sphere until it is ``reach`` away, or there."""
    p, n = passage.astype(float), mean.astype(float)
    if np.linalg.norm(n - p) <= reach:
        return mean
    tangent = n - (n @ p) * p
    tangent /= np.linalg.norm(tangent)
    angle = 2 * np.arcsin(reach / 2)
    return np.asarray(np.cos(angle) * p + np.sin(angle) * tangent, np.float32)


@given(SEEDS, st.floats(0, 2))
def test_nudged_scores_are_those_of_turned_vectors(seed: int, reach: float) -> None:
    query, passages, means, dense, mean, agreement = sides(seed, 6)
    assume(np.abs(np.linalg.norm(means - passages, axis=1) - reach).min() > 1e-3)
    vectors = [turned(p, n, reach) for p, n in zip(passages, means, strict=True)]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    found = nudge_scores(dense, mean, agreement, reach)
    np.testing.assert_allclose(found, np.array(vectors) @ query, atol=1e-3)


def test_a_nudge_goes_no_farther_than_there() -> None:
    _, _, _, dense, mean, agreement = sides(3, 6)
    np.testing.assert_allclose(nudge_scores(dense, mean, agreement, 0), dense, atol=1e-6)
    np.testing.assert_allclose(nudge_scores(dense, mean, agreement, 2), mean, atol=1e-4)
    same = np.ones(1, np.float32)
    assert nudge_scores(same, same, same + 1e-6, 0.5) == pytest.approx(1)  # rounding above 1


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
