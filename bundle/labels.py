"""Which passages answer which known queries, and with what weight: a sparse matrix in one file.

::

    labels.npz       NumPy's archive, not compressed, nothing pickled; m known queries, n labels,
                     p passages that have one
      indptr         (m + 1,) int64: the labels of query i stand from indptr[i] to indptr[i + 1]
      passages       (n,) int64: which of the p passages, ascending within a query
      weights        (n,) float32, finite and above 0
      ids            (b,) uint8: the passages' ids in UTF-8, one after the other, all different
      id_ends        (p,) int64: where each id ends in ``ids``

In memory passages are rows of one snapshot; the file names them by their ids.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt

_TYPES = {
    "indptr": np.int64, "passages": np.int64, "weights": np.float32,
    "ids": np.uint8, "id_ends": np.int64,
}  # fmt: skip
RowsOf = Callable[[Sequence[str]], Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A sparse matrix (m, passages) by rows.

    Transposed, it is one of passages: ``rows`` are then numbers of known queries.
    """

    indptr: Rows  # (m + 1,) the labels of query i stand from indptr[i] to indptr[i + 1]
    rows: Rows  # (n,) of passages, none twice within a query
    weights: npt.NDArray[np.float32]  # (n,)

    def select(self, numbers: Rows) -> Labels:
        """The labels of queries ``numbers`` (k,) int64 alone, in that order and as often."""
        places, _ = self.places(numbers)
        indptr = _indptr(self.indptr[numbers + 1] - self.indptr[numbers])
        return Labels(indptr, self.rows[places], self.weights[places])

    def places(self, numbers: Rows) -> tuple[Rows, Rows]:
        """Where the labels of queries ``numbers`` (k,) stand, (n,), and whose of the k each is, (n,)."""
        starts = self.indptr[numbers]
        counts = self.indptr[numbers + 1] - starts
        owner = np.repeat(np.arange(len(numbers)), counts)
        first = np.repeat(starts - (np.cumsum(counts) - counts), counts)
        return np.arange(len(owner)) + first, owner

    def transposed(self, passages: int) -> Labels:
        """For each of so many passages the queries that have it, ascending, with its weights."""
        by_row = np.argsort(self.rows, kind="stable")  # (n,)
        queries = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))  # (n,)
        counts = np.bincount(self.rows, minlength=passages)
        return Labels(_indptr(counts), queries[by_row], self.weights[by_row])

    def without_passages(self, rows: Rows) -> Labels:
        """The same without labels of passages ``rows``: every query stays, perhaps without labels."""
        kept = ~np.isin(self.rows, rows)
        return Labels(_indptr(kept)[self.indptr], self.rows[kept], self.weights[kept])

    def save(self, path: Path, ids: Sequence[str]) -> None:
        """Write the file at ``path``; ``ids`` are those of the passages with labels, by ascending row.

        Raises OSError.
        """
        labelled, passages = np.unique(self.rows, return_inverse=True)
        encoded = [id_.encode() for id_, _ in zip(ids, labelled, strict=True)]
        with path.open("wb") as file:  # given a name, NumPy would add a suffix where there is none
            np.savez(
                file, indptr=self.indptr, passages=passages.astype(np.int64), weights=self.weights,
                ids=np.frombuffer(b"".join(encoded), np.uint8),
                id_ends=np.cumsum([len(one) for one in encoded], dtype=np.int64),
            )  # fmt: skip

    def located(self, rows: Rows) -> tuple[Labels, Rows]:
        """The same with ``rows`` (p,) in the place of the numbers 0 to p - 1, -1: without its labels.

        Also the places (n,) at which the labels that are left stood.
        """
        found = rows[self.rows]
        kept = found >= 0
        if kept.all():
            return Labels(self.indptr, found, self.weights), np.arange(len(found))
        indptr = _indptr(kept)[self.indptr]
        return Labels(indptr, found[kept], self.weights[kept]), np.flatnonzero(kept)

    @classmethod
    def load(cls, path: Path, rows_of: RowsOf) -> tuple[Labels, Rows]:
        """The labels in the file at ``path``, and the rows (p,) of the passages in the file's order.

        ``rows_of`` gives the rows of those of the ids that the snapshot has. Raises BundleCorrupt.
        """
        labels, ids = cls.load_by_id(path)
        rows = rows_of_all(path, ids, rows_of)
        return labels.located(rows)[0], rows

    @classmethod
    def load_by_id(cls, path: Path) -> tuple[Labels, list[str]]:
        """The labels in the file at ``path``, with numbers of passages for rows, and the ids (p,) of these.

        Raises BundleCorrupt.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                # Ours are not compressed; a compressed one could take far more memory than its size.
                if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                    raise ValueError("compressed")
                arrays = {name: _array(archive, name) for name in _TYPES}
        except Exception as error:  # zipfile and NumPy have a dozen for what may be wrong here
            raise BundleCorrupt(path.parent, path.name, f"no archive of labels: {error}") from error
        fault = _fault(arrays)
        if fault:
            raise BundleCorrupt(path.parent, path.name, fault)
        ids = _ids(path, arrays["ids"], arrays["id_ends"])
        return cls(arrays["indptr"], arrays["passages"], arrays["weights"]), ids


def rows_of_all(path: Path, ids: Sequence[str], rows_of: RowsOf) -> Rows:
    """The rows (p,) of the passages ``ids``, which the file at ``path`` names. Raises BundleCorrupt."""
    found = rows_of(ids)
    for id_ in ids:
        if id_ not in found:
            raise BundleCorrupt(path.parent, path.name, f"the bundle has no passage {id_!r}")
    return np.array([found[id_] for id_ in ids], np.int64)


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """One array, read whole first so that a changed byte is found by the archive's checksum."""
    content = io.BytesIO(archive.read(f"{name}.npy"))
    array: npt.NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _indptr(counts: npt.NDArray[np.int64 | np.bool_]) -> Rows:
    """Where each of so many labels begins, and where the last ends: (k,) to (k + 1,) int64."""
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr


def _ids(path: Path, letters: npt.NDArray[np.uint8], ends: Rows) -> list[str]:
    """The ids of the passages. Raises BundleCorrupt."""
    content = letters.tobytes()
    try:
        ids = [content[a:b].decode() for a, b in pairwise([0, *ends.tolist()])]
    except UnicodeDecodeError as error:
        raise BundleCorrupt(path.parent, path.name, f"ids are not UTF-8: {error}") from error
    if len(set(ids)) != len(ids):
        raise BundleCorrupt(path.parent, path.name, "ids are not all different")
    return ids


def _fault(arrays: dict[str, npt.NDArray[Any]]) -> str | None:
    """Why ``arrays`` are no labels, or None."""
    for name, wanted in _TYPES.items():
        array = arrays[name]
        if array.dtype != wanted or array.ndim != 1:
            return f"{name} is {array.dtype} {array.shape}, expected {np.dtype(wanted)} of one axis"
    indptr, passages, weights, ids, ends = arrays.values()
    count, labels = len(ends), len(passages)
    if labels != len(weights):
        return f"{labels} passages but {len(weights)} weights"
    if not len(indptr) or indptr[0] != 0 or indptr[-1] != labels or (np.diff(indptr) < 0).any():
        return f"indptr does not ascend from 0 to {labels}"
    if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if count else 0) != len(ids):
        return f"id_ends does not ascend to {len(ids)}"
    if labels and (passages.min() < 0 or passages.max() >= count):
        return f"passages are not all from 0 to below {count}, the number of ids"
    if len(np.unique(passages)) != count:
        return "some ids have no label"
    rising = np.diff(passages) > 0  # (n - 1,)
    inner = indptr[(indptr > 0) & (indptr < labels)]
    rising[inner - 1] = True  # from one query to the next they may fall
    if not rising.all():
        return "passages do not ascend within a query"
    if not (np.isfinite(weights) & (weights > 0)).all():
        return "weights are not all finite and above 0"
    return None
