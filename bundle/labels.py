"""Which passages answer which known queries, and with what weight: a sparse matrix in one file.

::

    labels.npz       NumPy's archive, not compressed, nothing pickled; m known queries, n labels
      indptr         (m + 1,) int64: the labels of query i stand from indptr[i] to indptr[i + 1]
      rows           (n,) int64: rows of passages, ascending within a query
      weights        (n,) float32, finite and above 0
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows
from lurcher.models.errors import BundleCorrupt

_TYPES = {"indptr": np.int64, "rows": np.int64, "weights": np.float32}


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A sparse matrix (m, passages) by rows; the module says what its arrays hold.

    Transposed, it is one of passages: ``rows`` are then numbers of known queries.
    """

    indptr: Rows
    rows: Rows
    weights: npt.NDArray[np.float32]

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

    def save(self, path: Path) -> None:
        """Write the file at ``path``. Raises OSError."""
        with path.open("wb") as file:  # given a name, NumPy would add a suffix where there is none
            np.savez(file, indptr=self.indptr, rows=self.rows, weights=self.weights)

    @classmethod
    def load(cls, path: Path, passages: int) -> Labels:
        """Those in the file at ``path``, of a bundle with so many passages. Raises BundleCorrupt."""
        try:
            with zipfile.ZipFile(path) as archive:
                arrays = {name: _array(archive, name) for name in _TYPES}
        except Exception as error:  # zipfile and NumPy have a dozen for what may be wrong here
            raise BundleCorrupt(path.parent, path.name, f"no archive of labels: {error}") from error
        fault = _fault(arrays, passages)
        if fault:
            raise BundleCorrupt(path.parent, path.name, fault)
        return cls(**arrays)


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


def _fault(arrays: dict[str, npt.NDArray[Any]], passages: int) -> str | None:
    """Why ``arrays`` are no labels of so many passages, or None."""
    for name, wanted in _TYPES.items():
        array = arrays[name]
        if array.dtype != wanted or array.ndim != 1:
            return f"{name} is {array.dtype} {array.shape}, expected {np.dtype(wanted)} of one axis"
    indptr, rows, weights = arrays.values()
    if len(rows) != len(weights):
        return f"{len(rows)} rows but {len(weights)} weights"
    if not len(indptr) or indptr[0] != 0 or indptr[-1] != len(rows) or (np.diff(indptr) < 0).any():
        return f"indptr does not ascend from 0 to {len(rows)}"
    if len(rows) and (rows.min() < 0 or rows.max() >= passages):
        return f"rows are not all from 0 to below {passages}, the number of passages"
    rising = np.diff(rows) > 0  # (n - 1,)
    inner = indptr[(indptr > 0) & (indptr < len(rows))]
    rising[inner - 1] = True  # from one query to the next they may fall
    if not rising.all():
        return "rows do not ascend within a query"
    if not (np.isfinite(weights) & (weights > 0)).all():
        return "weights are not all finite and above 0"
    return None
