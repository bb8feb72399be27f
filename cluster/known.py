"""Known queries over shards: who has which of them, and what these say of passages.

The coordinator has all of them with all of their labels, and knows where the passages lie. It looks for
those near a query, once, and sends each shard the rows that they vote for; so weights are shared out among
all known queries, and votes are those of one bundle. It also names those that raised a hit. A shard has the
known queries that its own passages are labelled with, towards whose mean these are moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import hash_file
from lurcher.bundle.neighbours import Neighbours
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.cluster_file import ClusterFile, KnownEntry
from lurcher.errors import BundleCorrupt
from lurcher.order import inner_products
from lurcher.retrieval.fusion import mean_products
from lurcher.retrieval.query import Candidates, QueryState

LABELLED = "labelled.npy"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Where the passages with labels lie: number n is the n-th that the coordinator's labels name.

    shards  (p,) of each the shard, -1 where it is gone or has another text
    rows    (p,) and its row in the whole corpus, or -1
    """

    shards: Rows
    rows: Rows

    @classmethod
    def read(cls, folder: Path, cluster: ClusterFile) -> Labelled | None:
        """Those of ``cluster`` in ``folder``; None where no query is known. Raises BundleCorrupt."""
        known = cluster.known
        if known is None:
            return None
        file = folder / known.path
        if not file.is_file() or hash_file(file).sha256 != known.hash:
            reason = "missing" if not file.is_file() else "does not match its hash"
            raise BundleCorrupt(folder, known.path, reason)
        found: Rows = np.load(file, allow_pickle=False)
        if found.ndim != 2 or len(found) != 2:
            raise BundleCorrupt(folder, known.path, f"{found.shape} rows, expected (2, n)")
        return cls(*found)

    @classmethod
    def of(cls, rows: Rows, by_shard: Sequence[Rows]) -> Labelled:
        """Those at ``rows`` (p,) of a corpus whose rows lie ``by_shard``."""
        owners = np.empty(sum(map(len, by_shard)), np.int64)
        for shard, own in enumerate(by_shard):
            owners[own] = shard
        return cls(owners[rows], rows)

    def write(self, folder: Path) -> KnownEntry:
        """Write them into ``folder``; what ``cluster.json`` says of it. Raises OSError."""
        file = folder / LABELLED
        np.save(file, np.stack([self.shards, self.rows]))
        return KnownEntry(path=LABELLED, hash=hash_file(file).sha256)

    def put_into(self, coordinator: Bundle) -> Bundle:
        """``coordinator``, whose known queries are labelled with numbers for rows. Raises BundleCorrupt."""
        had, count = coordinator.neighbours, len(self.rows)
        if had is None or len(had.files.ids) != count:
            raise BundleCorrupt(coordinator.path.parent, LABELLED, "of other known queries")
        numbers = np.where(self.rows >= 0, np.arange(count), -1)
        known = Neighbours.of(had.files, count + 1, numbers, None)  # the last has no label
        had.close()
        return replace(coordinator, neighbours=known)

    @cached_property
    def _order(self) -> Rows:
        return np.argsort(self.rows)

    def numbers_of(self, rows: Rows) -> Rows:
        """The numbers (n,) of ``rows`` (n,) of the whole corpus; p for what has no label."""
        places = np.searchsorted(self.rows, rows, sorter=self._order)
        numbers = np.append(self._order, len(self.rows))[places]
        found: Rows = np.where(np.append(self.rows, -1)[numbers] == rows, numbers, len(self.rows))
        return found

    def by_shard(self, votes: Candidates) -> dict[int, Candidates]:
        """Those of ``votes`` that count, which are for numbers, by shard, for rows of the whole corpus."""
        votes = votes.take(np.flatnonzero(votes.columns["neighbours"] > 0))
        shards = self.shards[votes.rows]
        votes = replace(votes, rows=self.rows[votes.rows])
        return {
            shard: votes.take(np.flatnonzero(shards == shard))
            for shard in np.unique(shards).tolist()
        }


def scores_by_means(bundle: Bundle, state: QueryState, rows: Rows) -> dict[str, Vectors]:
    """The columns of ``Found`` (n,) of ``rows`` (n,) of a shard's ``bundle`` that its known queries make."""
    known, vector = bundle.neighbours, state.features.vector
    found = np.full(len(rows), np.nan, np.float32)
    if known is None:  # labels of its passages are gone
        none = np.zeros(len(rows), np.float32)
        return {"adapted": found, "mean": none, "agreement": none}
    near = state.retrieved["adapted"].rows
    found[np.searchsorted(rows, near)] = inner_products(known.adapted.vectors(near), vector)
    means = known.means_of(rows)[0]
    mean, agreement = mean_products(bundle.vectors.vectors(rows), means, vector)
    return {"adapted": found, "mean": mean, "agreement": agreement}
