"""The queries that settings are tried on: known ones held out, and known ones made unseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lurcher.bundle.labels import Labels
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors

# Parts of the known queries that are held out in turn to tune on; and at most so many of either set.
_FIFTHS, MOST = 5, 1_000
# Parts of the passages that are made unknown in turn; and queries below which their loss is chance.
_TENTHS, _LEAST_UNSEEN, _NEARLY_ALL = 10, 100, 0.95


@dataclass(frozen=True)
class JudgedQueries:
    """Judged queries as arrays: ``vectors`` (m, d) and the labels of each."""

    vectors: Vectors
    labels: Labels

    def select(self, numbers: Rows) -> JudgedQueries:
        """Those of ``numbers`` alone."""
        return JudgedQueries(self.vectors[numbers], self.labels.select(numbers))


@dataclass(frozen=True)
class Split:
    """What is known, and queries to try settings on, whose labels are what is relevant to them."""

    known: JudgedQueries
    queries: JudgedQueries


def sample(count: int, seed: int, most: int = MOST) -> Rows:
    """At most as many of ``count`` queries as settings are tried on, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def hold_out(
    known: JudgedQueries, vectors: Vectors, texts: Rows, seed: int, most: int = MOST
) -> list[Split]:
    """The known queries as if they were new, a fifth of the texts at a time, until there are enough.

    ``vectors`` (m, d) are their vectors as searches encode them, ``texts`` (m,) says which are the same.
    """
    order = np.random.default_rng(seed).permutation(int(texts.max()) + 1)
    splits: list[Split] = []
    count = 0
    for fifth in np.array_split(order, _FIFTHS):
        if count >= most:
            break
        held = np.flatnonzero(np.isin(texts, fifth))[: most - count]
        left = np.flatnonzero(~np.isin(texts, texts[held]))
        new = JudgedQueries(vectors[held], known.labels.select(held))
        splits.append(Split(known.select(left), new))
        count += len(held)
    return splits


def make_unseen(
    known: JudgedQueries, vectors: Vectors, passages: int, seed: int, most: int = MOST
) -> list[Split] | None:
    """Known queries none of whose passages is known any more: one split for each tenth hidden.

    As many tenths as it takes to have enough; None where even all of them are too few to tell. No
    question where nearly all of so many ``passages`` have a known query: little is left to protect.
    ``vectors`` (m, d) are the vectors of the known queries as searches encode them.
    """
    labels, generator = known.labels, np.random.default_rng(seed)
    labelled = np.unique(labels.rows)
    if len(labelled) > _NEARLY_ALL * passages:
        return []
    hidden = np.array_split(generator.permutation(labelled), _TENTHS)
    had, count, splits = np.diff(labels.indptr), 0, []
    for rows in hidden:
        if count >= most:
            break
        left = labels.without_passages(rows)
        has = np.diff(left.indptr)
        unseen = np.flatnonzero((had > 0) & (has == 0))
        rest = np.flatnonzero(has > 0)
        if len(unseen) and len(rest):
            some = np.sort(generator.permutation(unseen)[: most - count])
            left_known = JudgedQueries(known.vectors[rest], left.select(rest))
            splits.append(Split(left_known, JudgedQueries(vectors[some], labels.select(some))))
            count += len(some)
    return splits if count >= _LEAST_UNSEEN else None
