"""Labels do what a dense matrix does, come back as they were saved, and no bad file passes for one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.labels import Labels
from lurcher.errors import BundleCorrupt

Dense = npt.NDArray[np.float32]

WEIGHTS = st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.5])  # half of a matrix is empty


@st.composite
def matrices(draw: st.DrawFn) -> Dense:
    queries, passages = draw(st.integers(0, 6)), draw(st.integers(1, 7))
    cells = draw(st.lists(WEIGHTS, min_size=queries * passages, max_size=queries * passages))
    return np.array(cells, np.float32).reshape(queries, passages)


def sparse(dense: Dense) -> Labels:
    """The Labels of a dense matrix, cell by cell."""
    indptr, rows, weights = [0], [], []
    for line in dense:
        for row, weight in enumerate(line):
            if weight:
                rows.append(row)
                weights.append(weight)
        indptr.append(len(rows))
    return Labels(
        np.array(indptr, np.int64), np.array(rows, np.int64), np.array(weights, np.float32)
    )


def name(row: int) -> str:
    """The id of the passage in ``row``; of another length than others', and not all ASCII."""
    return "ä" * (row % 3) + str(row)


def names_of(labels: Labels) -> list[str]:
    return [name(row) for row in np.unique(labels.rows).tolist()]


def rows_of(ids: Sequence[str]) -> dict[str, int]:
    return {id_: int(id_.lstrip("ä")) for id_ in ids}


def some_queries(dense: Dense) -> st.SearchStrategy[list[int]]:
    count = len(dense)
    return st.lists(st.integers(0, count - 1), max_size=8) if count else st.just([])


def same(found: Labels, wanted: Labels) -> bool:
    return all(
        a.dtype == b.dtype and a.tolist() == b.tolist()
        for a, b in (
            (found.indptr, wanted.indptr),
            (found.rows, wanted.rows),
            (found.weights, wanted.weights),
        )
    )


@given(matrices(), st.data())
def test_selected_queries_are_selected_lines(dense: Dense, data: st.DataObject) -> None:
    numbers = np.array(data.draw(some_queries(dense)), np.int64)
    assert same(sparse(dense).select(numbers), sparse(dense[numbers]))


@given(matrices(), st.data())
def test_places_are_where_the_labels_of_a_query_stand(dense: Dense, data: st.DataObject) -> None:
    numbers = data.draw(some_queries(dense))
    labels = sparse(dense)
    places, owner = labels.places(np.array(numbers, np.int64))
    pairs = zip(owner.tolist(), places.tolist(), strict=True)
    assert list(pairs) == [
        (which, place)
        for which, number in enumerate(numbers)
        for place in range(labels.indptr[number], labels.indptr[number + 1])
    ]


@given(matrices())
def test_transposed_is_the_dense_transpose_and_twice_is_the_same(dense: Dense) -> None:
    queries, passages = dense.shape
    transposed = sparse(dense).transposed(passages)
    assert same(transposed, sparse(dense.T))
    assert same(transposed.transposed(queries), sparse(dense))


@given(matrices(), st.data())
def test_without_passages_their_columns_are_empty(dense: Dense, data: st.DataObject) -> None:
    columns = st.integers(0, dense.shape[1] - 1)
    rows = np.array(data.draw(st.lists(columns, max_size=5)), np.int64)
    emptied = dense.copy()
    emptied[:, rows] = 0
    assert same(sparse(dense).without_passages(rows), sparse(emptied))


@given(matrices())
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, dense: Dense) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.npz"
    labels = sparse(dense)
    labels.save(path, names_of(labels))
    found, rows = Labels.load(path, rows_of)
    assert same(found, labels)
    assert rows.tolist() == np.unique(labels.rows).tolist()


def test_labels_are_of_passages_not_of_places(tmp_path: Path) -> None:
    """The same file beside the same passages in another order: each label is of the same passage."""
    path = tmp_path / "labels.npz"
    LABELS.save(path, ["a", "b", "c"])
    found, rows = Labels.load(path, lambda _: {"a": 7, "b": 2, "c": 5, "other": 0})
    assert rows.tolist() == [7, 2, 5]
    assert found.rows.tolist() == [2, 5, 7]  # of b and c, then of a
    assert found.weights.tolist() == LABELS.weights.tolist()


def test_a_label_of_a_passage_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    LABELS.save(path, ["a", "b", "c"])
    with pytest.raises(BundleCorrupt, match=r"labels\.npz: the bundle has no passage 'b'"):
        Labels.load(path, lambda _: {"a": 7, "c": 5})


def test_as_many_ids_as_labelled_passages_are_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        LABELS.save(tmp_path / "labels.npz", ["a", "b"])


def test_the_same_labels_make_the_same_bytes(tmp_path: Path) -> None:
    labels = sparse(np.eye(3, dtype=np.float32))
    labels.save(tmp_path / "one", names_of(labels))
    labels.save(tmp_path / "two", names_of(labels))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


LABELS = Labels(
    np.array([0, 2, 2, 3], np.int64), np.array([1, 4, 0], np.int64),
    np.array([1, 0.5, 1], np.float32),
)  # fmt: skip
GOOD: dict[str, Any] = {
    "indptr": np.array([0, 2, 2, 3], np.int64),
    "passages": np.array([1, 2, 0], np.int64),
    "weights": np.array([1, 0.5, 1], np.float32),
    "ids": np.frombuffer(b"014", np.uint8),
    "id_ends": np.array([1, 2, 3], np.int64),
}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("indptr", np.array([0, 2, 2, 3], np.int32), r"indptr is int32 \(4,\), expected int64"),
        ("passages", np.array([[1, 2, 0]]), r"passages is int64 \(1, 3\), expected int64 of one"),
        ("passages", np.array([1, 2, 0], ">i8"), "passages is >i8"),
        ("weights", np.array([1, 0.5, 1]), "weights is float64"),
        ("weights", np.array([1, 1], np.float32), "3 passages but 2 weights"),
        ("weights", np.array(["a", "b", "c"], object), "pickle"),
        ("weights", None, "weights"),
        ("ids", None, "ids"),
        ("indptr", np.array([], np.int64), "indptr does not ascend from 0 to 3"),
        ("indptr", np.array([1, 2, 2, 3]), "indptr does not ascend"),
        ("indptr", np.array([0, 2, 1, 3]), "indptr does not ascend"),
        ("indptr", np.array([0, 2, 2, 4]), "indptr does not ascend"),
        ("indptr", np.array([0, -1, 2, 3]), "indptr does not ascend"),
        ("passages", np.array([1, 3, 0]), "passages are not all from 0 to below 3"),
        ("passages", np.array([-1, 2, 0]), "passages are not all from 0 to below 3"),
        ("passages", np.array([2, 1, 0]), "passages do not ascend within a query"),
        ("passages", np.array([1, 1, 0]), "some ids have no label"),
        ("ids", np.frombuffer(b"011", np.uint8), "ids are not all different"),
        ("ids", np.frombuffer(b"01\xe4", np.uint8), "ids are not UTF-8"),
        ("ids", np.frombuffer(b"0145", np.uint8), "id_ends does not ascend to 4"),
        ("id_ends", np.array([1, 2]), "id_ends does not ascend to 3"),
        ("id_ends", np.array([2, 1, 3]), "id_ends does not ascend"),
        ("id_ends", np.array([-1, 2, 3]), "id_ends does not ascend"),
        ("id_ends", np.array([], np.int64), "id_ends does not ascend"),
        ("weights", np.array([1, 0, 1], np.float32), "weights are not all finite and above 0"),
        ("weights", np.array([1, -1, 1], np.float32), "weights are not all finite and above 0"),
        ("weights", np.array([1, np.nan, 1], np.float32), "weights are not all finite"),
        ("weights", np.array([1, np.inf, 1], np.float32), "weights are not all finite"),
    ],
)
def test_arrays_that_are_no_labels_are_named(
    tmp_path: Path, name: str, value: Any, reason: str
) -> None:
    path = tmp_path / "labels.npz"
    np.savez(path, **GOOD)
    assert same(Labels.load(path, rows_of)[0], LABELS)
    arrays = {**GOOD, name: value}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(BundleCorrupt, match=rf"labels\.npz: .*{reason}"):
        Labels.load(path, rows_of)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "labels.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"labels\.npz"):
        Labels.load(path, rows_of)


def test_an_array_that_claims_to_be_huge_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    header = io.BytesIO()
    huge = {"descr": "<i8", "fortran_order": False, "shape": (2**60,)}
    np.lib.format.write_array_header_1_0(header, huge)
    with zipfile.ZipFile(path, "w") as archive:
        for name in GOOD:
            archive.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(BundleCorrupt, match=r"labels\.npz"):
        Labels.load(path, rows_of)


def test_one_array_alone_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    buffer = io.BytesIO()
    np.save(buffer, GOOD["passages"])
    path.write_bytes(buffer.getvalue())
    with pytest.raises(BundleCorrupt, match=r"labels\.npz"):
        Labels.load(path, rows_of)


def known_ids(ids: Sequence[str]) -> dict[str, int]:
    return {id_: int(id_) for id_ in ids if id_ in ("0", "1", "4")}


@given(st.data())
def test_a_changed_file_is_corrupt_or_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Hashes find any change; but they need not be checked, and then no other error may come out."""
    path = tmp_path_factory.mktemp("labels") / "labels.npz"
    LABELS.save(path, ["0", "1", "4"])
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    try:
        found, _ = Labels.load(path, known_ids)
    except BundleCorrupt:
        return
    assert same(found, LABELS)
