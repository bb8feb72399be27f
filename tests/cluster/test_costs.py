"""The cost model: quantiles of the slowest shard, against draws; and what must grow with what."""

from __future__ import annotations

import numpy as np
import pytest

from lurcher.cluster.costs import COSTS, estimate, slowest, slowest_hedged

SPREAD = 0.6


def draws(shards: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (20000, shards) of two replicas each."""
    chance = np.random.default_rng(7)
    first, second = (5 * np.exp(SPREAD * chance.normal(size=(20_000, shards))) for _ in range(2))
    return first, second


@pytest.mark.parametrize("shards", [1, 4, 30])
@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_the_slowest_is_as_slow_as_draws_are(shards: int, quantile: float) -> None:
    first, second = draws(shards)
    found = np.quantile(first.max(axis=1), quantile)
    assert slowest(5, SPREAD, shards, quantile) == pytest.approx(found, rel=0.06)
    delay = 5 * np.exp(SPREAD * 1.6449)
    hedged = np.where(first > delay, np.minimum(first, delay + second), first).max(axis=1)
    model = slowest_hedged(5, SPREAD, shards, quantile)
    assert model == pytest.approx(np.quantile(hedged, quantile), rel=0.06)
    assert model <= slowest(5, SPREAD, shards, quantile) * (1 + 1e-9)


def test_more_passages_take_more_shards_and_wait_longer() -> None:
    found = [estimate(count, 1_000_000, 1, 0.04, COSTS) for count in (10**7, 10**8, 3 * 10**9)]
    assert [one.shards for one in found] == [10, 100, 3_000]
    assert found[0].p99_ms < found[1].p99_ms < found[2].p99_ms
    assert all(max(one.p50_ms, one.p99_hedged_ms) < one.p99_ms for one in found)
    twice = estimate(10**7, 1_000_000, 2, 0.04, COSTS)
    assert twice.queries_per_second == pytest.approx(2 * found[0].queries_per_second)
