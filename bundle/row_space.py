"""The rows of a snapshot: those of its segments one after the other, and which of them are still there.

A row is a place in one snapshot and never leaves it. Deleted passages keep their rows until compaction, so
that a delete moves nothing; nothing finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RowSpace:
    """Where each segment's rows lie among all."""

    starts: Rows  # (s + 1,) the first row of each segment, then the number of all
    live: Mask | None  # (n,) False for deleted passages; None: none is deleted

    @classmethod
    def of(cls, counts: Sequence[int], deleted: Sequence[Mask | None]) -> RowSpace:
        """The rows of segments with so many passages each, of which those in ``deleted`` (n,) are gone."""
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if all(mask is None for mask in deleted):
            return cls(starts, None)
        live = np.ones(int(starts[-1]), np.bool_)
        for first, mask in zip(starts.tolist(), deleted, strict=False):
            if mask is not None:
                live[first : first + len(mask)] = ~mask
        return cls(starts, live)

    @property
    def count(self) -> int:
        """How many rows there are, those of deleted passages included."""
        return int(self.starts[-1])

    @property
    def passages(self) -> int:
        """How many passages there are."""
        return self.count if self.live is None else int(np.count_nonzero(self.live))

    @property
    def plain(self) -> bool:
        """Whether this is one segment of which nothing is deleted: its rows are all rows."""
        return self.live is None and len(self.starts) == 2

    def among(self, segment: int) -> slice:
        """The rows of a segment."""
        return slice(int(self.starts[segment]), int(self.starts[segment + 1]))

    def alive(self, rows: Rows) -> Rows:
        """Those of ``rows`` (n,) that are not deleted."""
        return rows if self.live is None else rows[self.live[rows]]

    def split(self, rows: Rows) -> Iterator[tuple[int, Rows, Rows]]:
        """Each segment that has any of ``rows`` (n,), the places (m,) of those, and their rows there (m,)."""
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        for segment in np.flatnonzero(np.bincount(owners)).tolist():
            places = np.flatnonzero(owners == segment)
            yield segment, places, rows[places] - self.starts[segment]
