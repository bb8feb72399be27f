"""Finding candidates: each retriever is asked once for all queries of a batch that need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.query import QueryState, RetrieverName
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.lexical import LexicalRetriever, query_terms

# How many times the estimated time must be left: candidates have to be fused, ranked and fetched as well.
_SPARE = 4.0
# Fewer postings than these take about as long.
_FEW_POSTINGS = 20_000


class Retrieve:
    """Asks retrievers that read vectors."""

    def __init__(self, retrievers: Mapping[RetrieverName, Retriever]) -> None:
        self._retrievers = retrievers

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with what each retriever found."""
        found = [dict(state.retrieved) for state in states]
        for name, retriever in self._retrievers.items():
            places = [i for i, state in enumerate(states) if name in state.plan.retrievers]
            if places:
                features = [states[i].features for i in places]
                depths = [states[i].plan.retrieval_depth for i in places]
                candidates = retriever.search(features, depths, [states[i].allow for i in places])
                for i, one in zip(places, candidates, strict=True):
                    found[i][name] = one
        return [replace(state, retrieved=one) for state, one in zip(states, found, strict=True)]


class RetrieveLexical:
    """Asks the lexical index; leaves that out where time is short and another retriever is asked as well."""

    def __init__(self, retriever: LexicalRetriever, costs: CostModel) -> None:
        self._retriever, self._costs = retriever, costs

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with what it found."""
        return [
            self._retrieved(state) if "lexical" in state.plan.retrievers else state
            for state in states
        ]

    def _retrieved(self, state: QueryState) -> QueryState:
        start, plan, deadline = perf_counter(), state.plan, state.query.deadline
        units = max(_FEW_POSTINGS, query_terms(state.features).postings)
        needed = _SPARE * self._costs.estimate("lexical", units)
        if deadline is not None and start + needed > deadline and len(plan.retrievers) > 1:
            self._costs.relax("lexical")
            return replace(state, degraded=(*state.degraded, "retrieve_lexical"))
        (found,) = self._retriever.search([state.features], [plan.retrieval_depth], [state.allow])
        self._costs.observe("lexical", units, perf_counter() - start)
        return replace(state, retrieved={**state.retrieved, "lexical": found})
