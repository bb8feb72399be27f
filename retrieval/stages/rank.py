"""The rank stage: the candidates of a query in a new order, if there is time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from lurcher.errors import LurcherError
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.query import QueryState, RankerName
from lurcher.retrieval.rankers import Ranker

# How many times the estimated time must be left: the passages have to be fetched as well.
_SPARE = 2.0


class Rank:
    """Lets the planned ranker order each query's candidates; leaves that out where time is short."""

    def __init__(self, rankers: Mapping[RankerName, Ranker], costs: CostModel) -> None:
        self._rankers, self._costs = rankers, costs

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState | LurcherError]:
        """The states with their candidates in the final order: a page, or all where they are grouped."""
        return outcome_of_each(self._ranked, states)

    def _ranked(self, state: QueryState) -> QueryState:
        name, candidates = state.plan.ranker, state.candidates
        count = len(candidates.rows)
        page = slice(None) if state.query.group_by else slice(state.query.offset, state.query.last)
        top = np.arange(count)[page]
        if name is None:
            return replace(state, candidates=candidates.take(top))
        start, ranker, turn = perf_counter(), self._rankers[name], state.query.turn
        length, deadline = ranker.length(state), state.query.deadline
        needed = _SPARE * self._costs.estimate(name, count * length)
        if deadline is not None and start + needed > deadline:
            self._costs.relax(name)  # or one slow moment would put an end to all ranking
            degraded = (*state.degraded, "rank")
            return replace(state, candidates=candidates.take(top), degraded=degraded)
        start = turn.clock()
        ranking = ranker(state)
        # Few candidates say nothing of what one more costs.
        self._costs.observe(name, length * max(ranker.few, count), turn.clock() - start)
        return replace(
            state,
            candidates=candidates.take(ranking.order[page], **ranking.columns),
            read_passages=ranking.read_passages,
        )
