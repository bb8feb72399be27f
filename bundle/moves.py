"""Where passages stand in one snapshot of a bundle that stood in another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.segment import Segment


class Snapshot(Protocol):
    """Segments, and where their rows lie."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, in the order of their rows."""

    @property
    def rows(self) -> RowSpace:
        """All rows."""


def moved_rows(rows: Rows, before: Snapshot, after: Snapshot) -> Rows:
    """The rows (n,) in ``after`` of the passages at ``rows`` (n,) of ``before``; -1 for none, and for -1.

    A passage that was deleted, or that lies in another segment now, has none.
    """
    places = {id(segment): number for number, segment in enumerate(after.segments)}
    shifts = np.zeros(len(before.segments), np.int64)
    stays = np.zeros(len(before.segments), np.bool_)
    for number, segment in enumerate(before.segments):
        if (place := places.get(id(segment))) is not None:
            shifts[number] = after.rows.starts[place] - before.rows.starts[number]
            stays[number] = True
    owners = np.searchsorted(before.rows.starts, rows, side="right") - 1
    found = np.where((rows >= 0) & stays[owners], rows + shifts[owners], -1)
    if after.rows.live is not None:
        found[(found >= 0) & ~after.rows.live[found]] = -1
    return found


def followed(
    rows: Rows, ids: Sequence[str], before: Snapshot, after: Snapshot,
    rows_of: Callable[[Sequence[str]], Mapping[str, int]],
) -> Rows:  # fmt: skip
    """The rows (n,) in ``after`` of the passages ``ids`` (n,), which stood at ``rows`` (n,) in ``before``.

    -1 for those that are not there. ``rows_of``, that of ``after``, is asked only for those that moved.
    """
    found = moved_rows(rows, before, after)
    lost = np.flatnonzero(found < 0).tolist()
    if lost:
        now = rows_of([ids[place] for place in lost])
        found[lost] = [now.get(ids[place], -1) for place in lost]
    return found
