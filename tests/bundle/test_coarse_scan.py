"""A scan of rounded vectors finds what an exact one does, or says that it cannot tell."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lurcher.bundle.coarse_scan import LEAST, CoarseScan
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.order import inner_products


def flat(vectors: Vectors) -> faiss.IndexFlatIP:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def drawn(count: int, dimension: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def check(vectors: Vectors, queries: Vectors, k: int) -> bool:
    """Whether it tells what is best; if it does, it is right to the last bit."""
    found = CoarseScan(flat(vectors)).search(queries, k)
    if found is None:
        return False
    for query, scores, rows in zip(queries, *found, strict=True):
        exact = inner_products(vectors, query)
        order = np.lexsort((np.arange(len(vectors)), -exact))[:k]
        assert rows.tolist() == order.tolist()
        assert (scores == exact[order]).all()
    return True


# FAISS has other kernels for multiples of 64 dimensions.
@given(
    seed=st.integers(0, 99), k=st.integers(1, 80), scale=st.sampled_from([1e-3, 1.0, 50.0]),
    dead=st.booleans(), dimension=st.sampled_from([24, 40, 64, 128]),
)  # fmt: skip
def test_what_it_finds_is_what_an_exact_scan_finds(
    seed: int, k: int, scale: float, dead: bool, dimension: int
) -> None:
    vectors, queries = (drawn(n, dimension, seed + n) for n in (600, 2))
    vectors *= np.float32(scale)
    if dead:
        vectors[:, 5] = 0
    assume(check(vectors, queries, k))


@pytest.mark.parametrize("dimension", [40, 64, 384])
def test_it_tells_of_vectors_as_encoders_make_them(dimension: int) -> None:
    centres = drawn(20, dimension, 1).repeat(100, axis=0)
    vectors = centres + drawn(2000, dimension, 2) * np.float32(0.8)
    queries = centres[::700] + drawn(3, dimension, 3) * np.float32(0.5)
    assert check(vectors, queries, 100)


def test_values_at_the_ends_of_a_byte_do_not_overflow() -> None:
    signs = np.sign(drawn(600, 384, 4)).astype(np.float32)
    signs[0] = 1
    assert check(signs, np.ones((1, 384), np.float32), 3)


def test_it_says_where_more_are_equal_than_it_looks_at() -> None:
    vectors = drawn(600, 32, 0)
    vectors[50:550] = vectors[50]
    assert CoarseScan(flat(vectors)).search(vectors[50:51], 10) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_query_that_cannot_be_rounded_is_left_to_the_index(bad: float) -> None:
    query = np.full((1, 32), bad, np.float32)
    assert CoarseScan(flat(drawn(600, 32, 0))).search(query, 5) is None


def test_an_index_answers_alike_by_it_and_without() -> None:
    vectors = drawn(LEAST // 64 + 1, 64, 2)
    vectors[7000:7060] = vectors[100]  # of one text, and not to be told apart
    query = np.concatenate([drawn(8, 64, 3), vectors[100:101]])
    index = VectorIndex(flat(vectors))
    assert index._coarse is not None
    for one in query:
        ((scores, rows),) = index.top(one[None], 20)
        exact = inner_products(vectors, one)
        order = np.lexsort((np.arange(len(vectors)), -exact))[:20]
        assert rows.tolist() == order.tolist()
        assert (scores == exact[order]).all()
    assert rows.tolist() == [100, *range(7000, 7019)]


@pytest.mark.parametrize("index", ["Flat", "HNSW8_SQ8"])
def test_small_indexes_and_others_have_none(index: str) -> None:
    made = faiss.index_factory(32, index, faiss.METRIC_INNER_PRODUCT)
    made.train(drawn(200, 32, 0))
    made.add(drawn(200, 32, 0))
    assert VectorIndex(made)._coarse is None
