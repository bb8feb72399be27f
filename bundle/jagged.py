"""A jagged store: each passage's entries, passage after passage, in flat files beside one index.

::

    NAME.bin, ...    the columns: an entry is a fixed number of values of one type; every column has the
                     same number of entries
    NAME.idx         per passage, unsigned integers: its number of entries, then what else the layout counts

``NAME.idx`` is written last, so whatever it counts is there, and a store that was torn at any byte can be
continued after the last passage that is whole. Opening a store reads the index only; columns are
memory-mapped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt

Array = npt.NDArray[Any]


def count_type(most: int) -> np.dtype[Any]:
    """The smallest unsigned type for numbers up to ``most``."""
    return np.min_scalar_type(most)


@dataclass(frozen=True, slots=True)
class Column:
    """One file of entries, each of ``width`` values of type ``dtype``; None: one value and no axis for it."""

    file: str
    dtype: np.dtype[Any]
    width: int | None = None

    @property
    def entry_bytes(self) -> int:
        """Bytes an entry."""
        return self.dtype.itemsize * (1 if self.width is None else self.width)

    def shape(self, entries: int) -> tuple[int, ...]:
        """The shape of so many entries: (n,) or (n, width)."""
        return (entries,) if self.width is None else (entries, self.width)


@dataclass(frozen=True, slots=True)
class JaggedLayout:
    """The files of a store.

    ``counts`` names what the numbers of the index count, entries first; they are of type ``count_type``.
    """

    columns: tuple[Column, ...]
    index: str
    counts: tuple[str, ...]
    count_type: np.dtype[Any]

    @property
    def index_bytes(self) -> int:
        """Bytes of the index a passage."""
        return len(self.counts) * self.count_type.itemsize

    def files(self, segment: Path) -> list[Path]:
        """The columns' files in the folder ``segment``, then the index."""
        return [segment / name for name in (*(column.file for column in self.columns), self.index)]

    def read_index(self, segment: Path) -> Array:
        """The numbers of each passage that are written whole, (n, len(counts))."""
        found, width = np.fromfile(segment / self.index, self.count_type), len(self.counts)
        return found[: len(found) // width * width].reshape(-1, width)

    def measure(self, segment: Path) -> tuple[list[int], int]:
        """The sum of each number of the index, and the bytes of all files, of the store in ``segment``."""
        totals = self.read_index(segment).sum(axis=0, dtype=np.int64)
        return totals.tolist(), sum(file.stat().st_size for file in self.files(segment))


class JaggedWriter:
    """Appends passages to the store in a folder; opening it cuts off what a killed writer left unfinished."""

    def __init__(
        self, segment: Path, layout: JaggedLayout, fail_point: FailPoint = carry_on
    ) -> None:
        """Open or create the files of ``layout`` in ``segment``."""
        self._segment, self._layout, self._fail_point = segment, layout, fail_point
        self._files = [file.open("ab") for file in layout.files(segment)]
        columns = zip(layout.columns, self._files, strict=False)
        held = min(file.tell() // column.entry_bytes for column, file in columns)
        self.passages = whole(layout.read_index(segment), held)
        self.truncate(self.passages)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def truncate(self, passages: int) -> None:
        """Remove all but the first ``passages``, which must be there."""
        counted = self._layout.read_index(self._segment)[:passages, 0]
        entries = int(counted.sum(dtype=np.int64))
        sizes = [column.entry_bytes * entries for column in self._layout.columns]
        sizes.append(self._layout.index_bytes * passages)
        for file, size in zip(self._files, sizes, strict=True):
            file.seek(file.truncate(size))
        self.passages = passages

    def append(self, columns: Sequence[Sequence[Array]], *others: Sequence[int]) -> None:
        """Write the next passages.

        ``columns`` has each column's entries passage by passage; ``others`` are the further numbers of the
        index, each of every passage.
        """
        flat = [
            [one.astype(column.dtype, copy=False) for one in entries]
            for column, entries in zip(self._layout.columns, columns, strict=True)
        ]
        counts = [[len(one) for one in columns[0]], *others]
        self._write(flat, np.array(counts, self._layout.count_type).T)

    def append_flat(self, columns: Sequence[Array], counts: Array) -> None:
        """Write the next passages: each column's entries in one array, and the index (n, len(counts))."""
        flat = [
            [entries.astype(column.dtype, copy=False)]
            for column, entries in zip(self._layout.columns, columns, strict=True)
        ]
        self._write(flat, counts.astype(self._layout.count_type))

    def _write(self, columns: Sequence[Sequence[Array]], counts: Array) -> None:
        """Write pieces of each column's entries, then the numbers of the index (n, len(counts))."""
        for file, pieces in zip(self._files[:-1], columns, strict=True):
            file.writelines(piece.tobytes() for piece in pieces)
            file.flush()
        self._fail_point(f"{self._layout.index}: entries written")
        self._files[-1].write(counts.tobytes())
        self._files[-1].flush()
        self.passages += len(counts)
        self._fail_point(f"{self._layout.index}: passages appended")


@dataclass(frozen=True, slots=True)
class JaggedStore:
    """The entries of an opened store; safe to share between threads."""

    columns: tuple[Array, ...]  # of each column (n,) or (n, width), memory-mapped
    starts: Rows  # (passages + 1,) int64, each passage's first entry, then the number of all

    @classmethod
    def open(
        cls, bundle: Path, segment: str, layout: JaggedLayout, passages: int, *expected: int
    ) -> JaggedStore:  # fmt: skip
        """The store of ``passages`` passages in the folder ``segment`` of ``bundle``.

        ``expected`` is what the first numbers of the index have to add up to. Raises BundleCorrupt, naming
        the file, what it has and what was expected.
        """
        name = f"{segment}/{layout.index}"
        index = map_file(bundle, name, layout.count_type, (passages, len(layout.counts)))
        found = index.sum(axis=0, dtype=np.int64)[: len(expected)].tolist()
        if found != list(expected):
            has = " of ".join(f"{n} {what}" for n, what in zip(found, layout.counts, strict=False))
            reason = f"counts {has}, expected {' of '.join(map(str, expected))}"
            raise BundleCorrupt(bundle, name, reason)
        columns = (
            map_file(bundle, f"{segment}/{c.file}", c.dtype, c.shape(expected[0]))
            for c in layout.columns
        )
        return cls(tuple(columns), starts_of(index))

    @classmethod
    def of(cls, columns: Sequence[Array], index: Array) -> JaggedStore:
        """The store of ``columns``, each (n,) or (n, width), with the ``index`` (passages, numbers)."""
        return cls(tuple(columns), starts_of(index))

    def gather(self, rows: Rows, column: int = 0) -> tuple[Array, Rows]:
        """A column's entries (n, width) or (n,) of passages ``rows`` (C,), and how many each has (C,)."""
        places, counts = places_of(self.starts, rows)
        return self.columns[column][places], counts

    def counts(self, rows: Rows) -> Rows:
        """How many entries each of the passages ``rows`` (C,) has, (C,) int64."""
        return self.starts[rows + 1] - self.starts[rows]


def whole(index: Array, entries: int) -> int:
    """How many passages of ``index`` (n, numbers) have all of theirs among the first ``entries``.

    A machine that went down may have kept the index and lost some of what it counts.
    """
    ends = np.cumsum(index[:, 0], dtype=np.int64)
    return int(np.searchsorted(ends, entries, side="right"))


def starts_of(index: Array) -> Rows:
    """Each passage's first entry, then the number of all, (n + 1,) int64, of an index (n, numbers)."""
    return np.concatenate([[0], np.cumsum(index[:, 0], dtype=np.int64)])


def places_of(starts: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """The places (n,) of the entries of passages ``rows`` (C,), in order, and how many each has (C,)."""
    counts = starts[rows + 1] - starts[rows]
    ends = np.cumsum(counts)
    shifts = np.repeat(starts[rows] - (ends - counts), counts)
    return shifts + np.arange(len(shifts)), counts


def map_file(bundle: Path, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    """The file ``name`` of the bundle, memory-mapped, of exactly that shape. Raises BundleCorrupt."""
    file, needed = bundle / name, math.prod(shape) * np.dtype(dtype).itemsize
    has = file.stat().st_size if file.is_file() else 0
    if has != needed:
        raise BundleCorrupt(bundle, name, f"{has} bytes, expected {needed}")
    if not needed:  # an empty file cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", shape=shape).view(np.ndarray)
