"""Every kind of index finds what an exact search finds, with and without a filter."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from lurcher.bundle.index_building import build_index, default_factory
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import (
    EXACT_ROWS,
    FEW,
    MANY,
    VectorIndex,
    Vectors,
    exact_top,
    write_index,
)
from lurcher.errors import BundleCorrupt, FieldError

FACTORIES = ["Flat", "HNSW32_SQ8", "IVF64,SQ8", "PCA64,Flat", "IVF64,PQ48x4fs,RFlat"]
ALL_LISTS = 64


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normed


def clustered(count: int, dimension: int, seed: int) -> Vectors:
    """Unit vectors around a few dozen centres, in a space of half as many dimensions as they have."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dimension // 2))
    points = centres[rng.integers(0, 40, count)] + 0.5 * rng.standard_normal(
        (count, dimension // 2)
    )
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((dimension, dimension // 2)))[0]
    return unit((points @ basis.T).astype(np.float32))


def top(query: Vectors, vectors: Vectors, k: int, allowed: Rows | None = None) -> Rows:
    """The plain twin: the rows with the ``k`` highest inner products, of those allowed."""
    rows = np.arange(len(vectors)) if allowed is None else allowed
    best: Rows = rows[np.argsort(-(vectors[rows] @ query), kind="stable")[:k]]
    return best


def shared(found: Rows, wanted: Rows) -> float:
    """The share of ``wanted`` that is found."""
    return float(np.isin(wanted, found).mean())


def reopened(vectors: Vectors, factory: str, path: Path, effort: int | None) -> VectorIndex:
    write_index(build_index(vectors, factory, 0, lambda _: None), path)
    return VectorIndex.open(path, effort)


@pytest.mark.parametrize(
    ("count", "factory"),
    [
        (0, "Flat"),
        (FEW, "Flat"),
        (FEW + 1, "HNSW32_SQ8"),
        (MANY, "HNSW32_SQ8"),
        (MANY + 1, "IVF5656,SQ8"),
        (10_000_000, "IVF12648,SQ8"),
    ],
)
def test_the_default_index_is_chosen_by_size(count: int, factory: str) -> None:
    assert default_factory(count) == factory


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(2_600, 96, seed=1)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return clustered(20, 96, seed=2)


@pytest.fixture(scope="module", params=FACTORIES)
def index(
    request: pytest.FixtureRequest, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory
) -> VectorIndex:
    path = tmp_path_factory.mktemp("index") / "vectors.faiss"
    return reopened(vectors, request.param, path, ALL_LISTS)


def test_a_reopened_index_knows_its_size(index: VectorIndex, vectors: Vectors) -> None:
    assert (index.count, index.dimension) == vectors.shape


def test_a_reopened_index_finds_what_an_exact_search_finds(
    index: VectorIndex, vectors: Vectors, queries: Vectors
) -> None:
    _, rows = index.search(queries, 10)
    exact = [top(q, vectors, 10) for q in queries]
    # The codes of an index are coarser than the vectors: what lies close may change places.
    assert np.mean([shared(r, e) for r, e in zip(rows, exact, strict=True)]) > 0.9


def test_scores_are_inner_products_best_first(
    index: VectorIndex, vectors: Vectors, queries: Vectors
) -> None:
    scores, rows = index.search(queries, 10)
    assert (np.diff(scores, axis=1) <= 0).all()
    products = np.take_along_axis(queries @ vectors.T, rows, axis=1)
    np.testing.assert_allclose(scores, products, atol=0.02)


def test_what_is_stored_is_what_scores_are_of(
    index: VectorIndex, vectors: Vectors, queries: Vectors
) -> None:
    stored = index.stored()
    assert len(stored) == len(vectors)
    part = stored[100:2_400]
    assert part.shape == (2_300, 96)
    assert part.dtype == np.float32
    scores, rows = index.search(queries, 10)
    decoded = np.concatenate([stored[0:1_000], stored[1_000 : len(stored)]])
    np.testing.assert_array_equal(decoded[100:2_400], part)
    wanted = np.einsum("qd,qkd->qk", queries, decoded[rows])
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_no_more_rows_come_back_than_there_are(
    vectors: Vectors, queries: Vectors, tmp_path: Path
) -> None:
    few = reopened(vectors[:5], "Flat", tmp_path / "few", None)
    scores, rows = few.search(queries[:1], 8)
    assert scores.shape == rows.shape == (1, 5)
    assert sorted(rows[0]) == [0, 1, 2, 3, 4]
    scores, among = few.search_among(queries[0], 8, np.array([1, 4]))
    assert sorted(among) == [1, 4]
    assert len(scores) == 2


def test_a_filter_works_on_every_kind_of_index(
    index: VectorIndex, vectors: Vectors, queries: Vectors
) -> None:
    for allowed in (np.array([7]), np.array([0, 1_000, 2_599]), np.arange(0, 2_600, 3)):
        for query in queries[:5]:
            scores, rows = index.search_among(query, 3, allowed)
            assert (np.diff(scores) <= 0).all()
            assert np.isin(rows, allowed).all()
            assert len(rows) == min(3, len(allowed))
            np.testing.assert_allclose(scores, vectors[rows] @ query, atol=0.02)
            assert shared(rows, top(query, vectors, 1, allowed)) == 1


def test_exact_top_is_the_plain_twin(vectors: Vectors, queries: Vectors) -> None:
    many = np.tile(vectors, (8, 1)) + np.linspace(0, 1e-3, 8).repeat(2_600)[:, None]
    many = many.astype(np.float32)  # more than a chunk
    for found, query in zip(exact_top(queries, many, 10), queries, strict=True):
        assert shared(found, top(query, many, 10)) == 1


# Filters that pass more rows than are scored one by one, on an index large enough for them.


@pytest.fixture(scope="module")
def many() -> Vectors:
    rng = np.random.default_rng(5)
    return unit(rng.standard_normal((25_000, 16)).astype(np.float32))


@pytest.fixture(
    scope="module",
    params=[("Flat", None), ("HNSW32_SQ8", 64), ("IVF64,SQ8", 48), ("PCA16,IVF64,SQ8", 48)],
    ids=lambda p: p[0],
)
def large(
    request: pytest.FixtureRequest, many: Vectors, tmp_path_factory: pytest.TempPathFactory
) -> tuple[VectorIndex, Vectors]:
    """An index of ``many``, and the vectors as its codes have them: the truth of its scores."""
    path = tmp_path_factory.mktemp("large") / "vectors.faiss"
    factory, effort = request.param
    built = build_index(many, factory, 0, lambda _: None)
    write_index(built, path)
    return VectorIndex.open(path, effort), built.reconstruct_n(0, len(many))


def filters(scores: Vectors) -> dict[str, Rows]:
    """Row filters of every selectivity, some of which know what the query likes."""
    rows, order = np.arange(len(scores)), np.argsort(scores)
    return {
        "none": rows[:0],
        "three": rows[[11, 7_000, 24_999]],
        "just what is scored one by one": rows[:EXACT_ROWS],
        "half": rows[::2],
        "all": rows,
        "the three farthest": np.sort(order[:3]),
        "the far half": np.sort(order[:12_500]),
        "the three nearest and the far half": np.sort(np.r_[order[:12_500], order[-3:]]),
        "all but the nearest hundredth": np.sort(order[:24_750]),
        "the near half": np.sort(order[12_500:]),
    }


@pytest.mark.parametrize("k", [10, *(pytest.param(k, marks=pytest.mark.nightly) for k in (1, 100))])
@pytest.mark.parametrize("name", list(filters(np.zeros(25_000, np.float32))))
def test_a_filter_holds_at_any_selectivity_and_wherever_what_passes_lies(
    large: tuple[VectorIndex, Vectors], name: str, k: int
) -> None:
    index, decoded = large
    recalls = []
    for query in unit(np.random.default_rng(9).standard_normal((8, 16)).astype(np.float32)):
        allowed = filters(decoded @ query)[name]
        scores, rows = index.search_among(query, k, allowed)
        assert len(scores) == len(rows) == min(k, len(allowed))
        assert (np.diff(scores) <= 0).all()
        assert len(set(rows)) == len(rows)
        assert np.isin(rows, allowed).all()
        np.testing.assert_allclose(scores, decoded[rows] @ query, atol=1e-3)
        if len(allowed):
            recalls.append(shared(rows, top(query, decoded, k, allowed)))
    # Not 1.0: a graph or a list may miss one, and equal codes have no order.
    assert not recalls or np.mean(recalls) >= 0.97


def test_without_room_for_a_second_answer_the_filter_still_fills_the_page(many: Vectors) -> None:
    """Lists probed sparsely hold too few of what passes; the rest is scored."""
    index = VectorIndex(build_index(many, "IVF64,SQ8", 0, lambda _: None), 1)
    far = np.sort(np.argsort(many @ many[0])[:12_500])
    assert len(index.search_among(many[0], 100, far)[1]) == 100


def test_a_filter_leaves_no_trace_on_the_next_search(
    large: tuple[VectorIndex, Vectors], many: Vectors
) -> None:
    index, _ = large
    before = index.search(many[:3], 10)[1]
    index.search_among(many[0], 10, np.arange(0, 25_000, 2))
    assert (index.search(many[:3], 10)[1] == before).all()


# Effort.


@pytest.mark.parametrize(
    ("factory", "tunable"),
    [("Flat", False), ("PCA8,Flat", False), ("HNSW8_SQ8", True), ("IVF8,SQ8", True),
     ("PCA8,IVF8,SQ8", True), ("IVF8,SQ8,RFlat", True)],
)  # fmt: skip
def test_effort_matters_to_graphs_and_lists(factory: str, tunable: bool) -> None:
    vectors = clustered(400, 16, seed=3)
    assert VectorIndex(build_index(vectors, factory, 0, lambda _: None)).tunable is tunable


@pytest.mark.parametrize("factory", ["HNSW4_SQ8", "IVF64,SQ8", "PCA16,IVF64,SQ8"])
def test_more_effort_finds_more(many: Vectors, factory: str) -> None:
    index = VectorIndex(build_index(many[:5_000], factory, 0, lambda _: None))
    queries = many[5_000:5_050]
    exact = exact_top(queries, many[:5_000], 10)
    found = []
    for effort in (1, 16, 4_096):
        index.set_effort(effort)
        rows = index.search(queries, 10)[1]
        found.append(np.mean([shared(r, e) for r, e in zip(rows, exact, strict=True)]))
    assert found[0] < found[1] < found[2]


# What cannot be built or read.


@pytest.mark.parametrize("factory", ["nonsense", "", "HNSW32_SQ9", "IVF64,PQ48x4fs,"])
def test_an_unknown_factory_string_is_an_error_that_repeats_it(
    vectors: Vectors, factory: str
) -> None:
    with pytest.raises(FieldError, match="index: FAISS does not know") as caught:
        build_index(vectors, factory, 0, lambda _: None)
    assert repr(factory) in str(caught.value)
    assert "index_factory.cpp" not in str(caught.value)


@pytest.mark.parametrize("factory", ["IVF64,PQ48x4fs", "PCA64,IVF64,PQ32x4fs"])
def test_fast_scan_lists_need_a_refinement(vectors: Vectors, factory: str) -> None:
    with pytest.raises(FieldError, match="add ',RFlat'"):
        build_index(vectors, factory, 0, lambda _: None)


def test_an_index_that_cannot_take_vectors_as_they_come_is_refused(vectors: Vectors) -> None:
    with pytest.raises(FieldError, match="cannot make 'IDMap,Flat' of 2600 vectors: add does not"):
        build_index(vectors, "IDMap,Flat", 0, lambda _: None)


def test_too_few_vectors_for_the_lists_are_refused(vectors: Vectors) -> None:
    with pytest.raises(FieldError, match="cannot make 'IVF64,SQ8' of 60 vectors"):
        build_index(vectors[:60], "IVF64,SQ8", 0, lambda _: None)


def test_progress_counts_every_vector(many: Vectors) -> None:
    steps: list[int] = []
    build_index(many, "Flat", 0, steps.append)
    assert len(steps) > 1
    assert sum(steps) == len(many)


@pytest.mark.parametrize("content", [b"", b"IxFI", b"no index at all", None])
def test_a_file_that_is_no_index_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "vectors.faiss"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleCorrupt) as caught:
        VectorIndex.open(path, None)
    assert caught.value.file == "vectors.faiss"


def test_a_file_is_mapped_not_read(vectors: Vectors, tmp_path: Path) -> None:
    index = reopened(vectors, "Flat", tmp_path / "vectors.faiss", None)
    with Path("/proc/self/maps").open() as maps:
        assert str(tmp_path / "vectors.faiss") in maps.read()
    assert index.count == len(vectors)


def test_a_tuned_effort_beyond_the_lists_means_all_of_them(vectors: Vectors) -> None:
    raw = build_index(vectors, "IVF64,SQ8", 0, lambda _: None)
    VectorIndex(raw, 4_096)
    assert faiss.extract_index_ivf(raw).nprobe == 64
