"""Hits by document: the best passage of each stands for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.retrieval.query import QueryState

# A stage at which no query fails.
FirstStage = Callable[[Sequence[QueryState]], list[QueryState]]

_DEEPER = 4  # times as many candidates, where those found are of too few documents


class Deepen:
    """Finds candidates of as many documents as hits are wanted, where there are so many."""

    def __init__(self, passages: PassageStore, first_stage: Sequence[FirstStage]) -> None:
        """``first_stage`` finds and fuses candidates."""
        self._passages, self._first_stage = passages, first_stage

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with more candidates: the best passage of each further document, and no more of it."""
        # All pages are parts of the same candidates. Where the first page has to look for more, those that
        # it has are too few for another page.
        return [
            self._deepened(state) if state.query.group_by and not state.query.offset else state
            for state in states
        ]

    def _deepened(self, state: QueryState) -> QueryState:
        wanted, ranked = state.query.top_k, len(state.candidates.rows)
        depth, found = state.plan.depth, state.candidates
        documents = self._passages.documents(found.rows)
        while len(found.rows) >= depth and len(set(documents)) < wanted:
            depth *= _DEEPER
            deep = max(depth, state.plan.retrieval_depth)
            deeper = replace(state, plan=replace(state.plan, depth=depth, retrieval_depth=deep))
            for stage in self._first_stage:
                (deeper,) = stage([deeper])
            found = deeper.candidates
            documents = self._passages.documents(found.rows)
        first = _first_of_each(documents)
        # Ranking costs by the candidate, and of a document that is found late one passage is enough. More
        # documents than are wanted would let a ranker put some out that the first stage has well before them.
        enough = max(0, wanted - int(np.sum(first < ranked)))
        further = first[first >= ranked][:enough]
        return replace(state, candidates=found.take(np.r_[:ranked, further]))


class Group:
    """Keeps the best candidate of each document."""

    def __init__(self, passages: PassageStore) -> None:
        self._passages = passages

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with the page that is asked for, at most ``top_k`` candidates of as many documents."""
        return [self._grouped(state) if state.query.group_by else state for state in states]

    def _grouped(self, state: QueryState) -> QueryState:
        first = _first_of_each(self._passages.documents(state.candidates.rows))
        page = first[state.query.offset : state.query.last]
        return replace(state, candidates=state.candidates.take(page))


def _first_of_each(documents: Sequence[str]) -> Rows:
    """The places (n,), ascending, at which one of ``documents`` stands for the first time."""
    places = {document: place for place, document in reversed(list(enumerate(documents)))}
    return np.sort(np.fromiter(places.values(), np.int64, len(places)))
