"""Numbers of passages that are the same in all of a cluster, for the rows of one shard's snapshots.

A passage of the build has its row in the whole corpus, which decides between equal scores as in one bundle.
One that was written since, or lies in a segment that others were merged into, comes after all of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.cluster.cluster_file import ClusterFile, read_rows

# Beyond the rows of any corpus.
_WRITTEN = 1 << 40


@dataclass(frozen=True, slots=True, eq=False)
class RowNumbers:
    """The numbers of the rows of shard ``number`` of ``shards``; they ascend with the rows.

    segment  name of the segment that a build wrote
    built    (n,) numbers of its passages, ascending
    firsts   (n,) of these, as ``copies`` has them
    """

    segment: str
    built: Rows
    firsts: Rows
    number: int
    shards: int

    @classmethod
    def read(cls, folder: Path, cluster: ClusterFile, number: int) -> Self:
        """Those of shard ``number`` of ``cluster`` in ``folder``. Raises BundleCorrupt."""
        entry = cluster.shards[number]
        return cls(entry.segment, *read_rows(folder, entry), number, len(cluster.shards))

    def of(self, bundle: Bundle, rows: Rows) -> Rows:
        """The numbers (k,) of ``rows`` (k,) of ``bundle``, a snapshot of the shard."""
        first = self.built_in(bundle)
        found: Rows = _WRITTEN + (rows - first) * self.shards + self.number
        if first:
            found = np.where(rows < first, self.built[np.minimum(rows, first - 1)], found)
        return found

    def rows(self, bundle: Bundle, numbers: Rows) -> Rows:
        """The rows (k,) of ``bundle`` that have ``numbers`` (k,)."""
        written = self.built_in(bundle) + (numbers - _WRITTEN - self.number) // self.shards
        found: Rows = np.where(numbers < _WRITTEN, np.searchsorted(self.built, numbers), written)
        return found

    def built_in(self, bundle: Bundle) -> int:
        """How many rows of ``bundle``, its first, are of the build."""
        return len(self.built) if bundle.segments[0].name == self.segment else 0
