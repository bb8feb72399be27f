"""What the shards found in one order: that of one bundle with all of their passages, to the last bit.

Pure functions on arrays. Candidates are chosen as one bundle chooses them: the best of all shards of each
retriever first, then the best of those, however many of them lie in one shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.messages import Found
from lurcher.order import best_first, evened
from lurcher.retrieval.fusion import best, filled, fuse_lexical, lexical_weight
from lurcher.retrieval.query import Candidates, Plan, RetrieverName


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The candidates of one query, with rows of the whole corpus, and the shard (C,) of each."""

    candidates: Candidates
    shards: Rows

    def of(self, shard: int) -> Rows:
        """The places (n,) of the candidates that lie in ``shard``."""
        return np.flatnonzero(self.shards == shard)

    def shards_of(self, rows: Rows) -> Rows:
        """The shard (n,) of each of ``rows`` (n,), which are rows of candidates."""
        order = np.argsort(self.candidates.rows)
        found: Rows = self.shards[order[np.searchsorted(self.candidates.rows, rows, sorter=order)]]
        return found

    def put(self, candidates: Candidates) -> Merged:
        """The same with ``candidates``, which are some of these, in any order."""
        return Merged(candidates, self.shards_of(candidates.rows))


class _Table:
    """The scores of all rows that any shard gave."""

    def __init__(self, parts: Mapping[int, Found]) -> None:
        self._rows = np.concatenate([one.rows for one in parts.values()])
        self._order = np.argsort(self._rows)
        names = next(iter(parts.values())).scores
        self._scores = {
            name: np.concatenate([one.scores[name] for one in parts.values()]) for name in names
        }
        self._shards = np.repeat(list(parts), [len(one.rows) for one in parts.values()])

    def _places(self, rows: Rows) -> Rows:
        return self._order[np.searchsorted(self._rows, rows, sorter=self._order)]

    def scores(self, name: str, rows: Rows) -> Vectors:
        """The scores (n,) of ``rows`` (n,)."""
        found: Vectors = self._scores[name][self._places(rows)]
        return found

    def shards(self, rows: Rows) -> Rows:
        """Where each of ``rows`` (n,) lies, (n,)."""
        found: Rows = self._shards[self._places(rows)]
        return found


def merged(parts: Mapping[int, Found], plan: Plan, named: float) -> Merged:
    """The candidates of a query of all shards, by number, best first, at most ``plan.depth``.

    ``named`` is the share of the query that is names.
    """
    table = _Table(parts)
    candidates = _fused(list(parts.values()), table, plan, named)
    return Merged(candidates, table.shards(candidates.rows))


def _fused(parts: Sequence[Found], table: _Table, plan: Plan, named: float) -> Candidates:
    """As ``retrieval.stages.fuse`` makes one list of what the retrievers of one bundle found."""
    depth = plan.retrieval_depth
    weight = lexical_weight(plan.lexical_weight or 0.0, named)
    if plan.retrievers == ("dense",):
        return _best("dense", parts, table, depth)
    words = _best("lexical", parts, table, depth)
    if plan.retrievers == ("lexical",):
        if plan.ranker is None:
            return words
        lexical = words.columns["lexical"]
        return words.given(
            dense=table.scores("dense", words.rows), fused=lexical,
            lexical_share=np.float32(weight) * lexical,
        )  # fmt: skip
    dense = _best("dense", parts, table, depth)
    rows = np.unique(np.concatenate([dense.rows, words.rows]))
    candidates = filled("dense", dense, rows, lambda r: table.scores("dense", r))
    by_words = filled("lexical", words, rows, lambda r: table.scores("lexical", r))
    return best(fuse_lexical(candidates.given(**by_words.columns), weight), plan.depth)


def _best(name: RetrieverName, parts: Sequence[Found], table: _Table, depth: int) -> Candidates:
    """The best of what the retriever ``name`` found in all shards, at most ``depth``."""
    rows = np.concatenate([one.found[name] for one in parts])
    scores = table.scores(name, rows)
    if name == "dense":
        scores = evened(scores)
    places = best_first(scores, rows, depth)
    return Candidates(rows[places], {name: scores[places]})
