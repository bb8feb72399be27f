"""One list of what the retrievers of a query found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.order import inner_products
from lurcher.retrieval.fusion import (
    answered_share,
    best,
    filled,
    fuse_adapted,
    fuse_lexical,
    fuse_votes,
    lexical_weight,
)
from lurcher.retrieval.query import Candidates, QueryState, RetrieverName
from lurcher.retrieval.retrievers.lexical import query_terms
from lurcher.retrieval.retrievers.neighbours import KnownQueries


class Fuse:
    """Scores what any retriever found by all that the plan names, exactly."""

    def __init__(
        self, index: VectorStore, lexical: LexicalIndex | None, known: KnownQueries
    ) -> None:
        self._index, self._lexical, self._known = index, lexical, known

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with at most ``plan.depth`` candidates, best first."""
        return [replace(state, candidates=self._fused(state)) for state in states]

    def _fused(self, state: QueryState) -> Candidates:
        plan, retrieved = state.plan, state.retrieved
        if plan.retrievers == ("dense",):
            return retrieved["dense"]
        if plan.retrievers == ("lexical",):
            return self._found_by_words(state)
        if plan.neighbours in ("voting", "online"):
            retrieved = {**retrieved, plan.neighbours: _voted(retrieved[plan.neighbours])}
        rows = np.unique(np.concatenate([one.rows for one in retrieved.values()]))
        candidates = filled("dense", retrieved["dense"], rows, lambda r: self._dense(state, r))
        if plan.dense_weight is not None:
            candidates = self._moved(state, candidates, retrieved, plan.dense_weight)
        if "lexical" in retrieved and self._lexical is not None:
            index, terms = self._lexical, query_terms(state.features)
            words = filled("lexical", retrieved["lexical"], rows, lambda r: index.scores(terms, r))
            candidates = candidates.given(**words.columns)
            neighbours = candidates.columns.get("neighbours")
            named = state.features.named
            if neighbours is not None:
                named *= 1 - answered_share(neighbours, adapted=plan.neighbours == "adapted")
            candidates = fuse_lexical(candidates, _lexical_weight(state, named))
        return best(candidates, plan.depth)

    def _moved(
        self, state: QueryState, candidates: Candidates, retrieved: Mapping[RetrieverName, Candidates],
        weight: float,
    ) -> Candidates:  # fmt: skip
        """The candidates with what known queries add to them; ``weight`` is lambda."""
        neighbours = state.plan.neighbours
        if neighbours in ("voting", "online"):
            return fuse_votes(candidates, retrieved[neighbours], weight)
        passages = self._index.vectors(candidates.rows)
        means = self._known.means(candidates.rows)
        return fuse_adapted(candidates, passages, means, state.features.vector, weight)

    def _found_by_words(self, state: QueryState) -> Candidates:
        """What the lexical index found, in its order, with what a ranker needs."""
        candidates = state.retrieved["lexical"]
        if state.plan.ranker is None:
            return candidates
        words = candidates.columns["lexical"]
        return candidates.given(
            dense=self._dense(state, candidates.rows), fused=words,
            lexical_share=np.float32(_lexical_weight(state, state.features.named)) * words,
        )  # fmt: skip

    def _dense(self, state: QueryState, rows: Rows) -> Vectors:
        return inner_products(self._index.vectors(rows), state.features.vector)


def only_words(states: Sequence[QueryState]) -> list[QueryState]:
    """The states with what the lexical index found, where a bundle has no other."""
    return [replace(state, candidates=state.retrieved["lexical"]) for state in states]


def _voted(candidates: Candidates) -> Candidates:
    """Those of ``candidates`` that any known query votes for."""
    return candidates.take(np.flatnonzero(candidates.columns["neighbours"] > 0))


def _lexical_weight(state: QueryState, named: float) -> float:
    """What the lexical score counts for this query, of which the share ``named`` is names."""
    return lexical_weight(state.plan.lexical_weight or 0.0, named)
