"""Vectors that come and go: what is found is what an exact search of those left finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.vectors import Vectors
from lurcher.feedback.partitions import PartitionedVectors

DIMENSION = 16


def drawn(count: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


ALL = drawn(400)


def finds_all(found: PartitionedVectors, left: list[int]) -> None:
    """Check that ``found`` has those numbers of ``ALL`` that are ``left``, and no others."""
    assert len(found) == len(left)
    products, numbers = found.search(ALL[:3], len(ALL))
    assert numbers.shape == products.shape == (3, len(left))
    exact = ALL[:3] @ ALL.T
    for row, near, wanted in zip(numbers.tolist(), products, exact, strict=True):
        assert sorted(row) == left
        np.testing.assert_allclose(near, wanted[row], atol=2e-3)
    if left:
        np.testing.assert_allclose(found.vectors(np.array(left)), ALL[left], atol=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 60), max_size=12)), max_size=10),
    st.sampled_from([0, 5, 20, 1_000]),
)
def test_what_is_found_is_what_is_left_before_and_after_the_partition(
    steps: list[tuple[int, list[int]]], scanned: int
) -> None:
    found, left, added = PartitionedVectors(DIMENSION, scanned), set[int](), 0
    for more, removed in steps:
        numbers = found.add(ALL[added : added + more])
        assert numbers.tolist() == list(range(added, added + more))
        left.update(numbers.tolist())
        added += more
        taken = sorted(left.intersection(removed))
        found.remove(np.array(taken, np.int64))
        left.difference_update(taken)
        finds_all(found, sorted(left))


def test_a_partitioned_search_finds_nearly_what_an_exact_one_finds() -> None:
    """Around some centres, as questions lie; before and after most were deleted and replaced."""
    draw = np.random.default_rng(4)
    centres = draw.standard_normal((40, 128))

    def clustered(count: int) -> Vectors:
        some = centres[draw.integers(0, 40, count)] + 0.5 * draw.standard_normal((count, 128))
        normed: Vectors = (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float32)
        return normed

    vectors, queries = clustered(6_000), clustered(100)
    found = PartitionedVectors(128, scanned=500)
    numbers = found.add(vectors)
    np.testing.assert_array_equal(found.search(vectors[:500], 1)[1][:, 0], np.arange(500))
    found.remove(numbers[:4_000])
    found.add(vectors[:4_000])
    kept = np.concatenate([vectors[4_000:], vectors[:4_000]])  # by number, from 4,000 on
    _, near = found.search(queries, 10)
    exact = np.argsort(-(queries @ kept.T), axis=1)[:, :10] + 4_000
    shared = [len(set(a) & set(b)) for a, b in zip(near.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) > 9


def test_the_same_history_finds_the_same() -> None:
    one, other = PartitionedVectors(DIMENSION, 50), PartitionedVectors(DIMENSION, 50)
    for vectors in (one, other):
        vectors.add(ALL[:300])
        vectors.remove(np.arange(100))
    for a, b in zip(one.search(ALL, 5), other.search(ALL, 5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_found_where_nothing_is_left() -> None:
    found = PartitionedVectors(DIMENSION)
    finds_all(found, [])
    found.remove(found.add(ALL[:5]))
    finds_all(found, [])
    assert found.add(ALL[5:6]).tolist() == [5]
    finds_all(found, [5])
