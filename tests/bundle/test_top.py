"""Of equal vectors any kind of index gives the lowest rows: at any depth, in any batch, under any filter."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from lurcher.bundle import vectors as module
from lurcher.bundle.index_building import build_index
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import EXACT_ROWS, VectorIndex, Vectors
from lurcher.order import best_first, inner_products

FACTORIES = ["Flat", "HNSW32_SQ8", "IVF16,SQ8", "PCA48,Flat"]
COPIES, OTHERS, DIMENSION = 1_000, 500, 64


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normed


@pytest.fixture(scope="module")
def stored() -> Vectors:
    """A thousand copies of one vector and three of another among many, in any order of rows."""
    draw = np.random.default_rng(5)
    vectors = unit(draw.standard_normal((COPIES + OTHERS, DIMENSION)).astype(np.float32))
    places = draw.permutation(len(vectors))
    vectors[places[:COPIES]] = vectors[places[0]]
    vectors[places[-3:]] = vectors[places[-1]]
    return vectors


@pytest.fixture(scope="module", params=FACTORIES)
def index(request: pytest.FixtureRequest, stored: Vectors) -> VectorIndex:
    return VectorIndex(build_index(stored, request.param, 0, lambda _: None), 64)


def asked(stored: Vectors) -> Vectors:
    """Queries (24, d), most of them near the copies: as many as FAISS multiplies as matrices."""
    values, counts = np.unique(stored, axis=0, return_counts=True)
    copied = values[counts.argmax()]
    noise = 0.05 * np.random.default_rng(6).standard_normal((24, DIMENSION))
    return unit(copied + noise.astype(np.float32) * np.arange(24)[:, None] / 4)


def wanted(index: VectorIndex, query: Vectors, k: int, rows: Rows) -> tuple[Vectors, Rows]:
    """The plain twin: all of ``rows`` scored and ordered."""
    scores = inner_products(index.vectors(rows), query)
    best = best_first(scores, rows, k)
    return scores[best], rows[best]


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("factory", ["PCA48,Flat", "PCA48,Flat,RFlat"])
def test_copies_have_one_vector_however_many_threads_transform_them(
    stored: Vectors, factory: str, threads: int
) -> None:
    """A matrix product that threads share out is summed otherwise where a share ends."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        index = VectorIndex(build_index(stored, factory, 0, lambda _: None))
        values, which, counts = np.unique(stored, axis=0, return_inverse=True, return_counts=True)
        copies = np.flatnonzero(which == counts.argmax())
        for found in (index.vectors(copies), index.stored()[0 : index.count][copies]):
            assert len(np.unique(found, axis=0)) == 1
        assert len(np.unique(index.vectors(np.arange(index.count)), axis=0)) == len(values)
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("k", [1, 5, 100, 999, 1_000, 1_003, 1_500, 4_000])
def test_the_lowest_rows_of_many_copies_are_found(
    index: VectorIndex, stored: Vectors, k: int
) -> None:
    query = asked(stored)[:1]
    ((scores, rows),) = index.top(query, k)
    exact = wanted(index, query[0], k, np.arange(index.count))
    some = min(k, COPIES)  # behind the copies a graph or a few lists need not find all
    assert rows[:some].tolist() == exact[1][:some].tolist()
    np.testing.assert_allclose(scores[:some], exact[0][:some], atol=1e-6)
    assert len(rows) == len(set(rows.tolist())) <= min(k, index.count)


def test_a_batch_finds_what_each_query_finds_alone(index: VectorIndex, stored: Vectors) -> None:
    queries = asked(stored)
    for (scores, rows), query in zip(index.top(queries, 7), queries, strict=True):
        ((own_scores, own),) = index.top(query[None], 7)
        assert rows.tolist() == own.tolist()
        assert scores.tolist() == own_scores.tolist()


@pytest.mark.parametrize("k", [1, 12, 700])
@pytest.mark.parametrize("most", [EXACT_ROWS, 10])
def test_a_filter_leaves_the_order_of_what_passes(
    index: VectorIndex, stored: Vectors, k: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT_ROWS", most)  # beyond it the index itself is searched
    allowed = np.flatnonzero(np.random.default_rng(9).random(len(stored)) < 0.7)
    for query in asked(stored)[[0, 9]]:
        scores, rows = index.search_among(query, k, allowed)
        exact = wanted(index, query, k, allowed)
        np.testing.assert_allclose(scores, exact[0], atol=2e-6)
        assert rows.tolist() == exact[1].tolist()
    assert index.search_among(asked(stored)[0], k, allowed[:0])[1].tolist() == []
