"""The segments that a writer works on: what is deleted of each, and how its passages are read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lurcher.bundle.manifest import SegmentEntry
from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import Mask
from lurcher.bundle.segment import Segment
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.edit.merge_policy import Size


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment of a writer's bundle.

    read       gives passages by their rows, encoded as they are
    deleted    (n,) which of them are deleted; None: none is
    entry      what the manifest says of it; None in memory
    """

    segment: Segment
    read: Callable[[Rows], Encoded]
    deleted: Mask | None = None
    entry: SegmentEntry | None = None

    @property
    def size(self) -> Size:
        """How many passages it has, and how many are deleted."""
        gone = 0 if self.deleted is None else int(np.count_nonzero(self.deleted))
        return Size(self.segment.count, gone)

    @property
    def live(self) -> Rows:
        """The rows of passages that are not deleted, ascending."""
        if self.deleted is None:
            return np.arange(self.segment.count)
        return np.flatnonzero(~self.deleted)

    def without(self, rows: Rows) -> Part:
        """It with ``rows`` deleted, too."""
        deleted = (
            np.zeros(self.segment.count, np.bool_) if self.deleted is None else self.deleted.copy()
        )
        deleted[rows] = True
        return replace(self, deleted=deleted)


def in_memory(segment: Segment, encoded: Encoded) -> Part:
    """The part of a segment that was made of ``encoded``."""
    return Part(segment, lambda rows: encoded.take(rows.tolist()))
