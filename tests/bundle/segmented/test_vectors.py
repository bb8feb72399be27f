"""Vectors in several segments are found as in one index, whatever is deleted and however they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.index_building import build_index
from lurcher.bundle.index_codes import empty_like
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.segmented.vectors import SegmentedVectors
from lurcher.bundle.vectors import VectorIndex, Vectors

DIMENSION = 16
EXACT = ["Flat", "SQ8", "PCA8,Flat"]


def points(seed: int, count: int) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def index(vectors: Vectors, factory: str) -> VectorIndex:
    return VectorIndex(build_index(vectors, factory, 0, lambda _: None), 4_096)


def cut(
    whole: VectorIndex, vectors: Vectors, ends: Sequence[int], deleted: Sequence[int]
) -> SegmentedVectors:
    """``vectors`` in segments that end at ``ends``, stored as ``whole`` stores them."""
    bounds = [0, *ends, len(vectors)]
    runs = [slice(a, b) for a, b in pairwise(bounds)]
    gone = np.isin(np.arange(len(vectors)), deleted)
    masks = [gone[run] if gone[run].any() else None for run in runs]
    space = RowSpace.of([run.stop - run.start for run in runs], masks)
    return SegmentedVectors(space, [VectorIndex.like(whole, vectors[run]) for run in runs])


@pytest.mark.parametrize("factory", [*EXACT, "HNSW8", "HNSW8_SQ8", "IVF4,SQ8"])
def test_a_vector_is_stored_alike_in_any_segment(factory: str) -> None:
    vectors = points(1, 200)
    whole = index(vectors, factory)
    parts = cut(whole, vectors, [50, 120], [])
    rows = np.random.default_rng(2).permutation(200)
    np.testing.assert_array_equal(parts.vectors(rows), whole.vectors(rows))
    np.testing.assert_array_equal(parts.stored()[10:130], whole.stored()[10:130])
    assert empty_like(whole._index).ntotal == 0


@pytest.mark.parametrize("factory", EXACT)
@given(
    st.integers(0, 10), st.sets(st.integers(1, 39), max_size=5), st.sets(st.integers(0, 39)),
    st.integers(1, 45), st.sets(st.integers(0, 39)), st.booleans(),
)  # fmt: skip
def test_segments_find_what_one_index_of_the_rest_finds(
    factory: str,
    seed: int,
    ends: set[int],
    deleted: set[int],
    k: int,
    allowed: set[int],
    same: bool,
) -> None:
    """Also where many vectors are the same, and their order is that of their rows."""
    vectors = points(seed, 40)
    if same:
        vectors = vectors[np.random.default_rng(seed).integers(0, 3, 40)]
    whole = index(vectors, factory)
    parts = cut(whole, vectors, sorted(ends), sorted(deleted))
    left = np.array(sorted(set(range(40)) - deleted), np.int64)
    query = points(seed + 1, 1)
    scores, rows = whole.search_among(query[0], k, left)
    ((found_scores, found),) = parts.top(query, k)
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_array_equal(found_scores, scores)
    some = np.array(sorted(allowed - deleted), np.int64)
    for mine, theirs in zip(
        parts.search_among(query[0], k, some), whole.search_among(query[0], k, some), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("factory", ["HNSW8_SQ8", "IVF4,SQ8"])
def test_where_the_nearest_are_deleted_the_next_are_found(factory: str) -> None:
    """However many: a graph or a list is searched deeper."""
    vectors = points(3, 3_000)
    whole = index(vectors, factory)
    query = points(4, 1)
    order = np.argsort(-(whole.stored()[0:3_000] @ query[0]))
    gone = np.isin(np.arange(3_000), order[:1_000])
    parts = SegmentedVectors(RowSpace.of([3_000], [gone]), [whole])
    ((_, rows),) = parts.top(query, 20)
    assert rows.tolist() == order[1_000:1_020].tolist()


def test_filters_over_many_rows_find_as_many_as_there_are() -> None:
    vectors = points(5, 24_000)
    whole = index(vectors, "SQ8")
    parts = cut(whole, vectors, [21_000], range(0, 24_000, 2))
    allowed = np.arange(1, 24_000, 2)
    query = points(6, 1)[0]
    for k in (1, 50):
        mine, theirs = parts.search_among(query, k, allowed), whole.search_among(query, k, allowed)
        assert mine[1].tolist() == theirs[1].tolist()


def test_an_empty_segment_has_nothing() -> None:
    vectors = points(7, 9)
    parts = cut(index(vectors, "Flat"), vectors, [9], [])
    ((_, rows),) = parts.top(points(8, 1), 20)
    assert sorted(rows.tolist()) == list(range(9))
    assert parts.search(points(8, 2), 20)[1].shape == (2, 9)
