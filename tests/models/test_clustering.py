"""Ward's clustering is what merging the cheapest pair again and again comes to."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.tokens.clustering import ward
from lurcher.models.tokens.products import Vectors

Partition = frozenset[frozenset[int]]


def price(points: Vectors, one: frozenset[int], other: frozenset[int]) -> float:
    """By how much merging two clusters lengthens the squared distances to the centres."""

    def spread(cluster: frozenset[int]) -> float:
        members = points[sorted(cluster)].astype(np.float64)
        return float(np.sum((members - members.mean(axis=0)) ** 2))

    return spread(one | other) - spread(one) - spread(other)


def greedy(points: Vectors, count: int) -> set[Partition]:
    """Where merging the cheapest pair until ``count`` clusters are left may end; ties go either way."""
    ends: set[Partition] = {frozenset(frozenset([i]) for i in range(len(points)))}
    for _ in range(len(points) - count):
        reached = set()
        for clusters in ends:
            prices = {
                pair: price(points, *pair) for pair in combinations(sorted(clusters, key=sorted), 2)
            }
            least = min(prices.values())
            for (one, other), cost in prices.items():
                if cost <= least + 1e-4:  # of whole numbers, prices that differ differ by more
                    reached.add(clusters - {one, other} | {one | other})
        ends = reached
    return ends


def partition(cluster: npt.NDArray[Any]) -> Partition:
    return frozenset(
        frozenset(np.flatnonzero(cluster == number).tolist()) for number in set(cluster.tolist())
    )


@st.composite
def few_points(draw: st.DrawFn) -> Vectors:
    """Whole numbers, so that many are the same and many distances are."""
    n, dimension = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    cells = st.lists(st.integers(-3, 3), min_size=n * dimension, max_size=n * dimension)
    return np.array(draw(cells), np.float32).reshape(n, dimension)


@given(few_points(), st.integers(1, 7))
def test_clusters_are_those_of_the_naive_way(points: Vectors, count: int) -> None:
    found = ward(points, count)
    assert found.dtype == np.int64
    assert partition(found) in greedy(points, min(count, len(points)))


@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.data())
def test_without_ties_there_is_one_right_answer(seed: int, n: int, data: st.DataObject) -> None:
    points = np.random.default_rng(seed).standard_normal((n, 5)).astype(np.float32)
    count = data.draw(st.integers(1, n))
    clusters: list[frozenset[int]] = [frozenset([i]) for i in range(n)]
    while len(clusters) > count:
        one, other = min(combinations(clusters, 2), key=lambda pair: price(points, *pair))
        clusters = [c for c in clusters if c not in (one, other)] + [one | other]
    assert partition(ward(points, count)) == frozenset(clusters)


@given(few_points(), st.integers(1, 7))
def test_clusters_are_numbered_by_their_first_point(points: Vectors, count: int) -> None:
    found = ward(points, count).tolist()
    firsts = list(dict.fromkeys(found))
    assert firsts == list(range(min(count, len(points))))


@pytest.mark.parametrize("count", [4, 5, 100])
def test_enough_clusters_leave_each_point_its_own(count: int) -> None:
    points = np.zeros((4, 3), np.float32)  # even the same ones
    assert ward(points, count).tolist() == [0, 1, 2, 3]


def test_one_cluster_holds_all() -> None:
    points = np.arange(30, dtype=np.float32).reshape(10, 3) ** 2
    assert ward(points, 1).tolist() == [0] * 10
    assert ward(points[:1], 1).tolist() == [0]
    assert ward(points[:0], 1).tolist() == []


def test_points_are_left_as_they_were() -> None:
    points = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    before = points.copy()
    ward(points, 2)
    np.testing.assert_array_equal(points, before)


def test_sizes_count() -> None:
    """A lone point is taken in by one that is farther off rather than by a large cluster near by."""
    points = np.array([[0.0]] * 8 + [[2.0], [4.5]], np.float32)
    assert ward(points, 2).tolist() == [0] * 8 + [1, 1]


def test_points_that_are_all_as_far_from_each_other_come_to_an_end() -> None:
    """Rounding makes of one distance many, not the same from both sides: this once ran for ever."""
    draw = np.random.default_rng(0)
    for _ in range(500):
        n = int(draw.integers(3, 9))
        corners = np.linalg.qr(draw.standard_normal((40, 40)))[0][:n].astype(np.float32)
        assert ward(corners, 1).tolist() == [0] * n
