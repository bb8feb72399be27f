"""One list of what the retrievers of a query found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.order import inner_products
from lurcher.retrieval.fusion import mean_products, one_list
from lurcher.retrieval.query import QueryFeatures, QueryState
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
        found = []
        for state in states:
            scores = _Scores(self._index, self._lexical, self._known, state.features)
            candidates = one_list(state.retrieved, state.plan, state.features.named, scores)
            found.append(replace(state, candidates=candidates))
        return found


@dataclass(frozen=True, slots=True)
class _Scores:
    """What passages of a bundle score for the query of ``features``."""

    index: VectorStore
    words: LexicalIndex | None
    known_queries: KnownQueries
    features: QueryFeatures

    def dense(self, rows: Rows) -> Vectors:
        """As ``Scores.dense``."""
        return inner_products(self.index.vectors(rows), self.features.vector)

    def lexical(self, rows: Rows) -> Vectors:
        """As ``Scores.lexical``."""
        assert self.words is not None  # noqa: S101 (the plan names it only where there is one)
        return self.words.scores(query_terms(self.features), rows)

    def known(self, rows: Rows) -> tuple[Vectors, Vectors]:
        """As ``Scores.known``."""
        means = self.known_queries.means(rows)
        return mean_products(self.index.vectors(rows), means, self.features.vector)


def only_words(states: Sequence[QueryState]) -> list[QueryState]:
    """The states with what the lexical index found, where a bundle has no other."""
    return [replace(state, candidates=state.retrieved["lexical"]) for state in states]
