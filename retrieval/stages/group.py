"""Hits by document: the best passage of each stands for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.retrieval.query import Plan, QueryState

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
        deeper = state
        documents = self._passages.documents(state.candidates.rows)
        while (plan := deeper_plan(deeper.plan, documents, wanted)) is not None:
            deeper = replace(deeper, plan=plan)
            for stage in self._first_stage:
                (deeper,) = stage([deeper])
            documents = self._passages.documents(deeper.candidates.rows)
        places = kept_places(documents, ranked, wanted)
        return replace(state, candidates=deeper.candidates.take(places))


class Group:
    """Keeps the best candidate of each document."""

    def __init__(self, passages: PassageStore) -> None:
        self._passages = passages

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with the page that is asked for, at most ``top_k`` candidates of as many documents."""
        return [self._grouped(state) if state.query.group_by else state for state in states]

    def _grouped(self, state: QueryState) -> QueryState:
        first = first_of_each(self._passages.documents(state.candidates.rows))
        page = first[state.query.offset : state.query.last]
        return replace(state, candidates=state.candidates.take(page))


def deeper_plan(plan: Plan, documents: Sequence[str], wanted: int) -> Plan | None:
    """By which more candidates are found than those of ``documents`` (C,); None: they are enough, or all.

    Enough are those of as many documents as are ``wanted``.
    """
    if len(documents) < plan.depth or len(set(documents)) >= wanted:
        return None
    depth = plan.depth * _DEEPER
    return replace(plan, depth=depth, retrieval_depth=max(depth, plan.retrieval_depth))


def kept_places(documents: Sequence[str], ranked: int, wanted: int) -> Rows:
    """The places (n,) of candidates of ``documents`` (C,) that are ranked: ``ranked``, and some further.

    Ranking costs by the candidate, and of a document that is found late one passage is enough. More
    documents than are ``wanted`` would let a ranker put some out that the first stage has well before them.
    """
    first = first_of_each(documents)
    enough = max(0, wanted - int(np.sum(first < ranked)))
    further = first[first >= ranked][:enough]
    return np.concatenate([np.arange(ranked), further])


def first_of_each(documents: Sequence[str]) -> Rows:
    """The places (n,), ascending, at which one of ``documents`` stands for the first time."""
    places = {document: place for place, document in reversed(list(enumerate(documents)))}
    return np.sort(np.fromiter(places.values(), np.int64, len(places)))
