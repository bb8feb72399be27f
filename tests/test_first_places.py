"""The best of many scores without sorting all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.order import best_first, first_places

numbers = st.one_of(
    st.floats(0, 1, width=32), st.floats(0, 2**-20, width=32), st.sampled_from([0.0, 0.25, 0.5])
)


@given(st.lists(numbers, max_size=60), st.integers(0, 70))
def test_they_are_those_of_the_whole_order(values: list[float], k: int) -> None:
    scores = np.array(values, np.float32)
    wanted = best_first(scores, np.arange(len(scores)), k)
    assert first_places(scores, k).tolist() == wanted.tolist()


def test_of_many_equal_scores_the_first_come_first() -> None:
    scores = np.full(100_000, 0.5, np.float32)
    scores[70_000] = 0.75
    assert first_places(scores, 4).tolist() == [70_000, 0, 1, 2]
