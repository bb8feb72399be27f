"""What stores of ragged rows share: some entries of each passage, passage after passage, and an index.

::

    NAME.bin, ...    entries of a fixed size; a store may have several such files side by side
    NAME.idx         of each passage how many entries it has, and perhaps a number of the store's own

Numbers are unsigned integers of as few bytes as the longest passage needs. The index is written last, so
that what it counts is there.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows
from lurcher.models.errors import BundleCorrupt

Array = npt.NDArray[Any]


def count_type(most: int) -> np.dtype[Any]:
    """The type of how many entries a passage has, of which there are at most so many."""
    return np.min_scalar_type(most)


def read_index(file: Path, kind: np.dtype[Any]) -> Array:
    """Both numbers of each passage, (n, 2), of those that are written whole."""
    found = np.fromfile(file, kind)
    return found[: len(found) // 2 * 2].reshape(-1, 2)


def whole(index: Array, entries: int) -> int:
    """How many passages of ``index`` (n, 1 or 2) have all of theirs among the first so many ``entries``.

    A machine that went down may have kept the index and lost some of what it counts.
    """
    ends = np.cumsum(index[:, 0], dtype=np.int64)
    return int(np.searchsorted(ends, entries, side="right"))


def starts_of(index: Array) -> Rows:
    """Each passage's first entry, and where the last one's end, (n + 1,) int64, of an index (n, 1 or 2)."""
    return np.concatenate([[0], np.cumsum(index[:, 0], dtype=np.int64)])


def gather(starts: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Where the entries of passages ``rows`` (C,) are, (n,), one after the other; how many of each, (C,)."""
    counts = starts[rows + 1] - starts[rows]
    ends = np.cumsum(counts)
    shifts = np.repeat(starts[rows] - (ends - counts), counts)
    return shifts + np.arange(len(shifts)), counts


def mapped(bundle: Path, name: str, kind: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    """The file ``name`` of the bundle, memory-mapped, of exactly that shape. Raises BundleCorrupt."""
    file, needed = bundle / name, math.prod(shape) * np.dtype(kind).itemsize
    has = file.stat().st_size if file.is_file() else 0
    if has != needed:
        raise BundleCorrupt(bundle, name, f"{has} bytes, expected {needed}")
    if not needed:  # which cannot be mapped
        return np.zeros(shape, kind)
    return np.memmap(file, kind, "r", shape=shape).view(np.ndarray)
