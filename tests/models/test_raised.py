"""What votes add to a score: something to every score, in order and without a jump, on its own scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.neighbours.votes import raised

COSINES = st.floats(-1, 1, width=32)
ANY_SCORES = st.floats(-2, 3, width=32)
BOOSTS = st.floats(0, 5, width=32)


def one(score: float, added: float, bent: bool) -> float:
    (found,) = raised(np.float32([score]), np.float32([added]), bent)
    return float(found)


@given(ANY_SCORES, st.floats(0.0625, 5, width=32), st.booleans())
def test_a_vote_raises_every_score_that_may_rise(score: float, added: float, bent: bool) -> None:
    if bent:
        score = min(score, 0.8)  # above it a cosine rises only if the votes outweigh the bend
    assert one(score, added, bent) > score
    assert one(score, 0, bent) == pytest.approx(score, abs=1e-6)


@given(ANY_SCORES, BOOSTS, st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_higher_score_or_more_votes_never_lower_it(
    score: float, added: float, higher: float, more: float, bent: bool
) -> None:
    found = one(score, added, bent)
    assert one(score + higher, added, bent) >= found - 1e-6
    assert one(score, added + more, bent) >= found - 1e-6


@given(ANY_SCORES, BOOSTS, st.booleans())
def test_nothing_jumps(score: float, added: float, bent: bool) -> None:
    step, found = 1e-3, one(score, added, bent)
    assert abs(one(score + step, added, bent) - found) <= step + 1e-5
    assert abs(one(score, added + step, bent) - found) <= step + 1e-5


@given(COSINES, BOOSTS)
def test_up_to_the_bend_a_sum_and_above_it_below_1(score: float, added: float) -> None:
    total, found = score + added, one(score, added, True)
    if score <= 0.8:
        y = max(total - 0.8, 0) / 0.2
        assert found == pytest.approx(min(total, 0.8) + 0.2 * y / (1 + y), abs=1e-6)
    assert score <= found <= 1


def test_where_scores_are_above_1_a_known_query_decides() -> None:
    scores, boosts = np.float32([1.3, 1.2, 1.1]), np.float32([0, 0, 0.5])
    assert raised(scores, boosts, bent=False).argmax() == 2
