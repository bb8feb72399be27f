"""Vectors that come and go: what is found is what an exact search of those left finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurcher.bundle.vectors import Vectors
from lurcher.feedback import graph
from lurcher.feedback.graph import Graph

DIMENSION = 16


def drawn(count: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normed


ALL = drawn(400)


def finds_all(found: Graph, left: list[int]) -> None:
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


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 60), max_size=12)), max_size=10),
    st.integers(0, 3),
    st.integers(1, 5),
)
def test_what_is_found_is_what_is_left_whenever_it_is_renewed(
    steps: list[tuple[int, list[int]]], few: int, moved: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "_FEW", few)
        patch.setattr(graph, "_MOVED", moved)
        found, left, given_ = Graph(DIMENSION), set[int](), 0
        for more, gone in steps:
            numbers = found.add(ALL[given_ : given_ + more])
            assert numbers.tolist() == list(range(given_, given_ + more))
            left.update(numbers.tolist())
            given_ += more
            taken = sorted(left.intersection(gone))
            found.remove(np.array(taken, np.int64))
            left.difference_update(taken)
            finds_all(found, sorted(left))


def test_it_is_renewed_by_a_few_vectors_a_call_and_then_holds_only_those_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Graph(DIMENSION)
    found.add(ALL[:300])
    added: list[int] = []
    add = graph._Layer.add

    def counted(layer: graph._Layer, numbers: Vectors, vectors: Vectors) -> None:
        added.append(len(numbers))
        add(layer, numbers, vectors)

    monkeypatch.setattr(graph._Layer, "add", counted)
    for number in range(160):
        found.remove(np.array([number]))
    assert found._next is not None
    calls = 0
    while found._next is not None:
        found.search(ALL[:1], 5)
        calls += 1
        assert calls < 100
    assert max(added) <= 1 + graph._MOVED
    assert len(found._now.numbers) < 150  # it was begun when half of them were gone
    finds_all(found, list(range(160, 300)))


def test_where_all_around_a_query_are_gone_it_finds_the_next_nearest() -> None:
    """A dense cloud that was taken out, with many more than are looked at, around what is asked for."""
    cloud = ALL[:1] + 0.02 * drawn(1_500, seed=1)
    others = drawn(1_600, seed=2)
    found = Graph(DIMENSION)
    numbers = found.add(np.concatenate([cloud, others]))
    found.remove(numbers[:1_500])
    products, near = found.search(ALL[:1], 16)
    exact = (others @ ALL[0]).argsort()[::-1][:16]
    assert len(set(near[0].tolist()) & set((1_500 + exact).tolist())) >= 8
    assert np.isfinite(products).all()


def test_an_empty_graph_finds_nothing() -> None:
    found = Graph(DIMENSION)
    finds_all(found, [])
    found.remove(found.add(ALL[:5]))
    finds_all(found, [])
    assert found.add(ALL[5:6]).tolist() == [5]
    finds_all(found, [5])
