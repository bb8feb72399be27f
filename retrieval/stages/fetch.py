"""The passages of the hits, and for the queries that ask, why each was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from lurcher.bundle.passages import Passage
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.token_store import TokenStore
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.lexical.analyser import Analyser
from lurcher.retrieval.highlights import AS_WRITTEN, best_sentences
from lurcher.retrieval.query import QueryState, RetrieverName
from lurcher.retrieval.results import ContributingNeighbour, Explanation, Span, TokenMatch
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.retrieval.spans import align_tokens
from lurcher.retrieval.turns import ALONE, Turn

Item = TypeVar("Item")

# Hits whose passages are read, and whose tokens are aligned, between two pauses: some milliseconds.
_FETCHED, _ALIGNED = 100, 4


class Fetch:
    """Reads the passages of all queries of a batch at once."""

    def __init__(self, passages: PassageStore) -> None:
        self._passages = passages

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with the passages of their candidates."""
        rows = sorted({row for state in states for row in state.candidates.rows.tolist()})
        turn, passages = _turn_of(states), dict[int, Passage]()
        for first in range(0, len(rows), _FETCHED):
            turn.pause()
            some = rows[first : first + _FETCHED]
            passages.update(zip(some, self._passages.get(some), strict=True))
        return [
            replace(state, passages=tuple(passages[row] for row in state.candidates.rows.tolist()))
            for state in states
        ]


class Explain:
    """Explains hits, and not the hundred candidates that they were chosen from."""

    def __init__(
        self, known: KnownQueries | None, voting: dict[RetrieverName, VotingRetriever],
        queries: Encoder | None, passages: Encoder | None, store: TokenStore | None,
        analyser: Analyser | None,
    ) -> None:  # fmt: skip
        """``queries`` and ``passages`` are the encoders that tokenise them; None where nothing ranks.

        ``known`` None: there are no vectors by which known queries could count.

        ``analyser`` is the lexical index's, which says what words highlights have in common with a query.
        """
        self._analyser = analyser or AS_WRITTEN
        self._known, self._voting = known, voting
        self._queries, self._passages, self._store = queries, passages, store

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with an explanation of each candidate."""
        return [self._explained(state) if state.query.extras else state for state in states]

    def _explained(self, state: QueryState) -> QueryState:
        none: list[None] = [None] * len(state.candidates.rows)
        extras = state.query.extras
        columns = zip(
            self._contributing(state) if "contributing_neighbours" in extras else none,
            (self._alignment(state) if "token_alignment" in extras else None) or none,
            self._highlights(state) if "highlights" in extras else none,
            strict=True,
        )
        return replace(state, explanations=tuple(Explanation(*row) for row in columns))

    def _contributing(self, state: QueryState) -> list[list[ContributingNeighbour]]:
        neighbours, vector = state.plan.neighbours, state.features.vector
        rows = state.candidates.rows
        if neighbours == "off" or self._known is None:
            return [[] for _ in rows]
        if neighbours == "adapted":
            return [
                self._known.contributing_to_mean(vector, row)
                for row in _in_turns(rows.tolist(), state.query.turn)
            ]
        return self._voting[neighbours].contributing(vector, rows, state.query.turn.pause)

    def _alignment(self, state: QueryState) -> list[list[TokenMatch]] | None:
        features, store = state.features.token_features, self._store
        queries, passages = self._queries, self._passages
        if features is None or store is None or queries is None or passages is None:
            return None
        if "maxsim" not in state.candidates.columns:
            return None
        spans = queries.own_spans(state.query.text)
        rows, found = state.candidates.rows, list[list[TokenMatch]]()
        for first in range(0, len(rows), _ALIGNED):
            state.query.turn.pause()
            some = slice(first, first + _ALIGNED)
            found += align_tokens(
                store, features.projected, features.weights, spans, passages, rows[some],
                state.passages[some],
            )  # fmt: skip
        return found

    def _highlights(self, state: QueryState) -> list[list[Span]]:
        """For each hit the sentence of its text that has most in common with the query, if any has."""
        texts = (passage.text for passage in _in_turns(state.passages, state.query.turn))
        spans = best_sentences(state.query.text, texts, self._analyser)
        return [[span] if span else [] for span in spans]


def _turn_of(states: Sequence[QueryState]) -> Turn:
    return states[0].query.turn if states else ALONE


def _in_turns(items: Iterable[Item], turn: Turn) -> Iterator[Item]:
    """``items``, with a pause before each."""
    for item in items:
        turn.pause()
        yield item
