"""Which passages of several segments have nearly the same text.

Within a segment that is what ``copies.npy`` says. From one segment to another the same words make a copy, by
the keys in ``alike.npy``; nearly the same words do only once both lie in one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lurcher.bundle.copies import Keys
from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import RowSpace


@dataclass(frozen=True, eq=False)
class SegmentCopies:
    """The copies within a segment, and the keys by which others have copies of it."""

    count: int
    within: Rows | None  # (n,) the first row with nearly the same text; None: no two are alike
    keys: (
        Keys | None
    )  # (n,) of the words, 0 for none; None: nothing in other segments is a copy of these

    @cached_property
    def first(self) -> Rows:
        """The first row with nearly the same text, (n,)."""
        return np.arange(self.count) if self.within is None else self.within

    @cached_property
    def by_key(self) -> tuple[Keys, Rows]:
        """All keys (m,), ascending, and a row (m,) with each."""
        keys, rows = np.unique(np.zeros(0, np.uint64) if self.keys is None else self.keys, True)
        some = keys > 0
        return keys[some], rows[some]


@dataclass(frozen=True, eq=False)
class Copies:
    """The copies in a snapshot; what they are is worked out when somebody folds them."""

    space: RowSpace
    parts: tuple[SegmentCopies, ...]

    @cached_property
    def first(self) -> Rows | None:
        """The first row with nearly the same text that is not deleted, (n,); None: no two are alike.

        A row of a deleted passage has its own.
        """
        if self.space.plain:
            return self.parts[0].within
        own = np.arange(self.space.count)
        first = _joined(self.space, self.parts)
        live = self.space.live
        if live is not None:
            left = np.flatnonzero(live & ~live[first])  # whose first is deleted
            _, places, groups = np.unique(first[left], return_index=True, return_inverse=True)
            first[left] = left[places][groups]
            first[~live] = own[~live]
        return None if (first == own).all() else first


def _joined(space: RowSpace, parts: Sequence[SegmentCopies]) -> Rows:
    """The first row with nearly the same text, (n,), deleted or not."""
    joined = np.arange(space.count)
    for number, part in enumerate(parts):
        rows = space.among(number)
        first = part.first + rows.start
        if part.keys is not None:
            found = np.full(part.count, -1)
            for earlier in range(number):
                keys, places = parts[earlier].by_key
                at = np.searchsorted(keys, part.keys)
                at[at == len(keys)] = 0
                same = (found < 0) & (keys[at] == part.keys) if len(keys) else found > 0
                found[same] = joined[places[at[same]] + space.starts[earlier]]
            # What is alike to a copy within its own segment is one, too.
            found = np.where(found < 0, found[part.first], found)
            first = np.where(found < 0, first, found)
        joined[rows] = first
    return joined
