"""Similarity without the direction that all words share: 1 for the same, lower or equal for others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.neighbours.adapted import unit
from lurcher.models.neighbours.nearness import own_similarities


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
def test_it_is_the_cosine_of_what_remains(seed: int, shared: float) -> None:
    draw = np.random.default_rng(seed)
    (common,) = unit(draw.standard_normal((1, 8)).astype(np.float32))
    queries, known = (
        unit(draw.standard_normal((n, 8)).astype(np.float32) + shared * common) for n in (3, 5)
    )
    similarities = queries @ known.T
    c, known_c = (queries @ common)[:, None], np.tile(known @ common, (3, 1))
    found = own_similarities(similarities, c, known_c)
    remains = [unit(v - np.maximum(v @ common, 0)[:, None] * common) for v in (queries, known)]
    # A negative part is left where it is, so that nothing is nearer for it.
    both = (c > 0) & (known_c > 0)
    wanted = np.minimum(similarities, remains[0] @ remains[1].T)
    np.testing.assert_allclose(found[both], wanted[both], atol=1e-4)
    assert (found <= similarities).all()
    same = own_similarities((queries * queries).sum(axis=1)[:, None], c, c)
    np.testing.assert_allclose(same, 1, atol=1e-4)


def test_no_known_query_stays_none() -> None:
    zero = np.zeros((1, 1), np.float32)
    assert own_similarities(np.full((1, 1), -np.inf, np.float32), zero, zero)[0, 0] == -np.inf
