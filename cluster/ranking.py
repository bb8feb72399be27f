"""Ranking over shards: candidates are scored where they lie, and ordered here as one bundle orders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from lurcher.bundle.vectors import Vectors
from lurcher.cluster.asking import Asking, Search
from lurcher.cluster.messages import Compare, Compared, Work
from lurcher.cluster.reading import read
from lurcher.retrieval.query import RankerName
from lurcher.retrieval.rankers import Ranker, Ranking
from lurcher.retrieval.rankers.maxsim import ReaderRanker

# What a ranker gives for each candidate of a search.
_Scores = Mapping[str, Vectors]


class RankOverShards:
    """Orders the candidates of searches by the rankers of their plans, if there is time."""

    def __init__(self, asking: Asking, rankers: Mapping[RankerName, Ranker]) -> None:
        """``rankers`` are a coordinator's, which order by scores and have no passages."""
        self._asking, self._rankers = asking, rankers

    def __call__(self, searches: Sequence[Search]) -> None:
        """Order the candidates of each of ``searches``; those in shards that do not answer are left out."""
        for search in searches:
            deadline = search.state.query.deadline
            if search.ranks and deadline is not None and perf_counter() > deadline:
                degraded = (*search.state.degraded, "rank")
                search.state = replace(search.state, degraded=degraded)
        ranked = [search for search in searches if search.ranks and len(search.found.shards)]
        parts = self._asking.ask(ranked, [_compare(search) for search in ranked], Compared)
        by_reader: list[tuple[Search, ReaderRanker, _Scores, Ranking]] = []
        for search, part in zip(ranked, parts, strict=True):
            name = search.state.plan.ranker
            if search.error is not None or name is None:
                continue
            scores, ranker = _answered(search, part), self._rankers[name]
            if not scores:  # no shard with candidates has answered
                continue
            ranking = ranker.ranked(search.state, scores)
            if isinstance(ranker, ReaderRanker):
                by_reader.append((search, ranker, scores, ranking))
            else:
                _order(search, ranking)
        self._rerank(by_reader)

    def _rerank(self, searches: Sequence[tuple[Search, ReaderRanker, _Scores, Ranking]]) -> None:
        """Order the candidates by what the reader says of the best of each search as well."""
        rows = [
            search.found.candidates.rows[ranker.to_read(first)]
            for search, ranker, _, first in searches
        ]
        read(self._asking, [search for search, *_ in searches], rows)
        for search, ranker, scores, first in searches:
            if search.error is None:
                logits = {row: one.logits for row, one in search.read.items()}
                _order(search, ranker.reranked(search.state, scores, first, logits))
                # What lies in a shard that has not read it would have another score.
                there = ~np.isin(search.found.shards, list(search.missing))
                search.keep(np.flatnonzero(there))


def _compare(search: Search) -> dict[int, Work]:
    found = search.found
    places = {int(shard): found.of(int(shard)) for shard in np.unique(found.shards)}
    rows, dense = found.candidates.rows, found.candidates.columns["dense"]
    return {shard: Compare(search.asked, rows[some], dense[some]) for shard, some in places.items()}


def _answered(search: Search, parts: Mapping[int, Compared]) -> _Scores:
    """What all ``parts`` say of the candidates, of which those in other shards are left out."""
    search.keep(np.flatnonzero(np.isin(search.found.shards, list(parts))))
    found = search.found
    scores: dict[str, Vectors] = {}
    for shard, part in parts.items():
        for name, some in part.scores.items():
            column = scores.setdefault(name, np.empty(len(found.shards), np.float32))
            column[found.of(shard)] = some
    return scores


def _order(search: Search, ranking: Ranking) -> None:
    search.keep(ranking.order, **ranking.columns)
