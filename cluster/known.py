"""Known queries over shards: who has which of them, and what these say of passages.

The coordinator has all of them with all of their labels, which name passages by their ids. It looks for those
near a query, once, and sends each shard the ids that they vote for; so weights are shared out among all known
queries, and votes are those of one bundle. It also names those that raised a hit. A shard has the known
queries that its own passages are labelled with, towards whose mean these are moved, and knows which passages
are gone or have another text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import Neighbours
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.messages import Found
from lurcher.cluster.sharding import shard_of
from lurcher.order import inner_products
from lurcher.retrieval.fusion import mean_products
from lurcher.retrieval.query import Candidates, QueryState


@dataclass(frozen=True, slots=True, eq=False)
class Voted:
    """The passages ``ids`` of a shard that known queries vote for, and the sums of their ``votes`` (v,)."""

    ids: tuple[str, ...]
    votes: Vectors


class Labelled:
    """The passages that known queries are labelled with: number n is the n-th that their file names."""

    def __init__(self, ids: Sequence[str], shards: int) -> None:
        self._ids = ids
        self._shards = np.array([shard_of(id_, shards) for id_ in ids], np.int64)
        self._numbers = {id_: number for number, id_ in enumerate(ids)}

    def numbers_of(self, ids: Sequence[str | None]) -> Rows:
        """The numbers (n,) of the passages ``ids``; for None one more than the last, which has no label."""
        none = len(self._ids)
        return np.array([none if i is None else self._numbers[i] for i in ids], np.int64)

    def by_shard(self, votes: Candidates) -> dict[int, Voted]:
        """Those of ``votes`` that count, which are for numbers, by shard."""
        votes = votes.take(np.flatnonzero(votes.columns["neighbours"] > 0))
        shards = self._shards[votes.rows]
        found = {
            shard: votes.take(np.flatnonzero(shards == shard)) for shard in set(shards.tolist())
        }
        return {
            shard: Voted(tuple(self._ids[n] for n in one.rows.tolist()), one.columns["neighbours"])
            for shard, one in found.items()
        }


def numbered(coordinator: Bundle) -> Bundle:
    """``coordinator``, whose known queries are labelled with numbers for rows, as ``Labelled`` has them."""
    had = coordinator.neighbours
    if had is None:
        return coordinator
    count = len(had.files.ids)
    known = Neighbours.of(had.files, count + 1, np.arange(count), None)  # the last has no label
    had.close()
    return replace(coordinator, neighbours=known)


def with_rows(
    voted: Mapping[int, Voted], parts: Mapping[int, Found], missing: Collection[int]
) -> dict[int, Candidates]:
    """The votes by shard for what shards have ``found``; -1 stands for what may not be, or is not known.

    Votes for a shard that is not ``missing`` and found nothing, as its passages have no field that a filter
    compares, are left out.
    """
    found = {}
    for shard, one in voted.items():
        if shard not in parts and shard not in missing:
            continue
        rows = parts[shard].voted if shard in parts else np.full(len(one.ids), -1)
        found[shard] = Candidates(rows, {"neighbours": one.votes})
    return found


def labelled_rows(bundle: Bundle, ids: Sequence[str], allow: Rows | None) -> Rows:
    """The rows (v,) of the passages ``ids`` of a shard that have labels and may be found, -1 for others.

    ``allow`` are the rows that may be, None: all. Of a passage whose text is another now labels do not count.
    """
    rows_of, known = bundle.passages.rows_of(ids), bundle.neighbours
    rows = np.array([rows_of.get(id_, -1) for id_ in ids], np.int64)
    counts = np.zeros(len(rows), np.bool_) if known is None else np.isin(rows, known.rows)
    if allow is not None:
        counts &= np.isin(rows, allow)
    rows[~counts] = -1
    return rows


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
