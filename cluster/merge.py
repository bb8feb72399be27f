"""What the shards found in one order: that of one bundle with all of their passages, to the last bit.

Pure functions on arrays. Candidates are chosen as one bundle chooses them: the best of all shards of each
retriever first, then the best of those, however many of them lie in one shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.messages import Found
from lurcher.order import best_first, evened
from lurcher.retrieval.fusion import one_list
from lurcher.retrieval.query import Candidates, Plan, RetrieverName

_NO_VOTES: Mapping[int, Candidates] = MappingProxyType({})


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
    """The scores of all rows that any shard gave: ``fusion.Scores``."""

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

    def dense(self, rows: Rows) -> Vectors:
        """As ``Scores.dense``."""
        return self.scores("dense", rows)

    def lexical(self, rows: Rows) -> Vectors:
        """As ``Scores.lexical``."""
        return self.scores("lexical", rows)

    def known(self, rows: Rows) -> tuple[Vectors, Vectors]:
        """As ``Scores.known``."""
        return self.scores("mean", rows), self.scores("agreement", rows)

    def shards(self, rows: Rows) -> Rows:
        """Where each of ``rows`` (n,) lies, (n,)."""
        found: Rows = self._shards[self._places(rows)]
        return found


def merged(
    parts: Mapping[int, Found], plan: Plan, named: float,
    votes: Mapping[int, Candidates] = _NO_VOTES,
) -> Merged:  # fmt: skip
    """The candidates of a query of all shards, by number, best first, at most ``plan.depth``.

    ``named`` is the share of the query that is names. ``votes`` are what the passages of each shard got of
    known queries, where these vote.
    """
    table = _Table(parts)
    found: dict[RetrieverName, Candidates] = {
        name: _best(name, list(parts.values()), table, plan.retrieval_depth)
        for name in plan.retrievers
        if name != "voting"
    }
    if "voting" in plan.retrievers:
        found["voting"] = _voted(parts, votes)
    # Votes for a shard that has not answered: whatever they change elsewhere stays as it is with it.
    missing = [one.columns["neighbours"] for shard, one in votes.items() if shard not in parts]
    elsewhere = float(np.concatenate([*missing, np.zeros(1, np.float32)]).max())
    candidates = one_list(found, plan, named, table, elsewhere)
    return Merged(candidates, table.shards(candidates.rows))


def _best(name: RetrieverName, parts: Sequence[Found], table: _Table, depth: int) -> Candidates:
    """The best of what the retriever ``name`` found in all shards, at most ``depth``."""
    rows = np.concatenate([one.found[name] for one in parts])
    scores = table.scores(name, rows)
    if name != "lexical":
        scores = evened(scores)
    places = best_first(scores, rows, depth)
    return Candidates(rows[places], {name: scores[places]})


def _voted(parts: Mapping[int, Found], votes: Mapping[int, Candidates]) -> Candidates:
    """The votes for passages that may be found."""
    rows, cast = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for shard in votes.keys() & parts.keys():
        one = votes[shard]
        found = np.isin(one.rows, parts[shard].found["voting"])
        rows.append(one.rows[found])
        cast.append(one.columns["neighbours"][found])
    order = np.argsort(together := np.concatenate(rows))
    return Candidates(together[order], {"neighbours": np.concatenate(cast)[order]})
