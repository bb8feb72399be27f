"""What all trainings share: batches, and what is written on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

from lurcher.training.run import Point, shuffled


@given(count=st.integers(1, 300), size=st.integers(1, 8), seed=st.integers(0, 3))
@settings(deadline=None)
def test_an_epoch_shows_each_place_once(count: int, size: int, seed: int) -> None:
    lengths = np.random.default_rng(count).integers(4, 90, count)
    batches = shuffled(lengths, size, np.random.default_rng(seed))
    assert sorted(int(place) for batch in batches for place in batch) == list(range(count))
    if count >= size:
        assert all(size <= len(batch) < 2 * size for batch in batches)
    again = shuffled(lengths, size, np.random.default_rng(seed))
    assert [list(batch) for batch in again] == [list(batch) for batch in batches]


def test_a_batch_is_of_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(4, 90, 512)
    batches = [lengths[batch] for batch in shuffled(lengths, 8, np.random.default_rng(0))]
    assert np.mean([np.ptp(batch) for batch in batches]) < 5
    firsts = [int(batch[0]) for batch in batches]
    assert firsts != sorted(firsts)


def test_a_point_says_what_it_knows() -> None:
    assert (
        Point(0, None, {"F1": 0.25, "EM": 0.125}).line(4_000)
        == "step 0 of 4,000: F1 0.2500, EM 0.1250"
    )
    assert Point(50, 1.5, None).line(100) == "step 50 of 100: loss 1.5000"
