"""The entries of passages in several segments (see ``bundle.jagged``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lurcher.bundle.jagged import Array, JaggedStore, places_of
from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import RowSpace


class Entries(Protocol):
    """Some entries per passage, by row."""

    def gather(self, rows: Rows, column: int = 0) -> tuple[Array, Rows]:
        """A column's entries (n, width) or (n,) of passages ``rows`` (C,), and how many each has (C,)."""

    def counts(self, rows: Rows) -> Rows:
        """How many entries each of the passages ``rows`` (C,) has, (C,) int64."""


@dataclass(frozen=True, slots=True)
class SegmentedEntries:
    """The stores of a snapshot's segments; safe to share between threads."""

    space: RowSpace
    parts: tuple[JaggedStore, ...]

    def gather(self, rows: Rows, column: int = 0) -> tuple[Array, Rows]:
        """As ``Entries.gather``."""
        split = list(self.space.split(rows))
        if len(split) == 1:
            segment, _, local = split[0]
            return self.parts[segment].gather(local, column)
        counts = self._counts(split, len(rows))
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        first = self.parts[0].columns[column]
        found = np.empty((int(starts[-1]), *first.shape[1:]), first.dtype)
        for segment, places, local in split:
            found[places_of(starts, places)[0]] = self.parts[segment].gather(local, column)[0]
        return found, counts

    def counts(self, rows: Rows) -> Rows:
        """As ``Entries.counts``."""
        return self._counts(self.space.split(rows), len(rows))

    def _counts(self, split: Iterable[tuple[int, Rows, Rows]], count: int) -> Rows:
        counts = np.zeros(count, np.int64)
        for segment, places, local in split:
            counts[places] = self.parts[segment].counts(local)
        return counts


def join_entries(space: RowSpace, parts: Sequence[JaggedStore]) -> Entries:
    """The entries of all segments; of a single one its own store."""
    return parts[0] if len(parts) == 1 else SegmentedEntries(space, tuple(parts))
