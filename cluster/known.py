"""Known queries over shards: who has which of them, and what these say of passages.

The coordinator has all of them with all of their labels, by the passages' rows in the whole corpus. It looks
for those near a query, once, and sends each shard the rows that they vote for; so weights are shared out
among all known queries, and votes are those of one bundle. It also names those that raised a hit. A shard has
the known queries that its own passages are labelled with, towards whose mean these are moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Where the passages with labels lie, in the order in which the coordinator's labels name them.

    shards  (p,) of each the shard
    rows    (p,) and its row in the whole corpus of so many ``passages``
    """

    shards: Rows
    rows: Rows
    passages: int

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
        shards, rows = np.load(file, allow_pickle=False)
        return cls(shards, rows, cluster.passages)

    @classmethod
    def of(cls, rows: Rows, by_shard: Sequence[Rows]) -> Labelled:
        """Those at ``rows`` (p,) of a corpus whose rows lie ``by_shard``."""
        owners = np.empty(sum(map(len, by_shard)), np.int64)
        for shard, own in enumerate(by_shard):
            owners[own] = shard
        return cls(owners[rows], rows, len(owners))

    def write(self, folder: Path) -> KnownEntry:
        """Write them into ``folder``; what ``cluster.json`` says of it. Raises OSError."""
        file = folder / LABELLED
        np.save(file, np.stack([self.shards, self.rows]))
        return KnownEntry(path=LABELLED, hash=hash_file(file).sha256)

    def put_into(self, coordinator: Bundle) -> Bundle:
        """``coordinator``, whose known queries are labelled with rows of the whole corpus."""
        had = coordinator.neighbours
        if had is None or len(had.files.ids) != len(self.rows):
            raise BundleCorrupt(coordinator.path.parent, LABELLED, "of other known queries")
        known = Neighbours.of(had.files, self.passages, self.rows, None)
        had.close()
        return replace(coordinator, neighbours=known)

    def by_shard(self, votes: Candidates) -> dict[int, Candidates]:
        """Those of ``votes`` that count, which are for rows of the whole corpus, by shard."""
        votes = votes.take(np.flatnonzero(votes.columns["neighbours"] > 0))
        order = np.argsort(self.rows)
        places = order[np.searchsorted(self.rows, votes.rows, sorter=order)]
        shards = self.shards[places]
        return {
            shard: votes.take(np.flatnonzero(shards == shard))
            for shard in np.unique(shards).tolist()
        }


def scores_by_means(bundle: Bundle, state: QueryState, rows: Rows) -> dict[str, Vectors]:
    """The columns of ``Found`` (n,) of ``rows`` (n,) of a shard's ``bundle`` that its known queries make."""
    known, vector = bundle.neighbours, state.features.vector
    found = np.full(len(rows), np.nan, np.float32)
    assert known is not None  # noqa: S101 (a cluster with known queries has some in each bundle)
    near = state.retrieved["adapted"].rows
    found[np.searchsorted(rows, near)] = inner_products(known.adapted.vectors(near), vector)
    means = known.means_of(rows)[0]
    mean, agreement = mean_products(bundle.vectors.vectors(rows), means, vector)
    return {"adapted": found, "mean": mean, "agreement": agreement}
