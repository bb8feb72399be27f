"""The first stage: a query's features, the candidates of each retriever in its plan, and one list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.retrieval.fusion import fuse_adapted, fuse_votes
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import (
    Candidates,
    Plan,
    Query,
    QueryFeatures,
    QueryState,
    RetrieverName,
    TokenFeatures,
)
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.neighbours import KnownQueries


@dataclass(frozen=True, slots=True)
class Planned:
    """A query that can be answered, before anything was computed for it."""

    query: Query
    plan: Plan
    allow: Rows | None = None
    stands_for: Rows | None = None


class Encode:
    """Encodes queries together; token states only where a ranker reads them."""

    def __init__(
        self, encoder: Encoder, store: TokenStore | None, reader: PassageReader | None
    ) -> None:
        self._encoder, self._store, self._reader = encoder, store, reader

    def __call__(self, planned: Sequence[Planned]) -> list[QueryState]:
        """The state of each query, with its features."""
        tokens = self._encoder.tokenise([one.query.text for one in planned])
        rankers = [one.plan.ranker for one in planned]
        if self._store is None or not any(rankers):
            vectors = self._encoder.encode_tokens(tokens)
            features = [QueryFeatures(*one) for one in zip(tokens, vectors, strict=True)]
        else:
            vectors, states = self._encoder.encode_states(tokens)
            features = [
                QueryFeatures(text, vector)
                if ranker is None
                else QueryFeatures(
                    text, vector, token_features(self._encoder, self._store, text, found),
                    self._reader.query(self._encoder, text)
                    if ranker == "reader" and self._reader is not None
                    else None,
                )
                for ranker, text, vector, found in zip(
                    rankers, tokens, vectors, states, strict=True
                )
            ]  # fmt: skip
        return [
            QueryState(one.query, one.plan, one.allow, found, stands_for=one.stands_for)
            for one, found in zip(planned, features, strict=True)
        ]


def token_features(
    encoder: Encoder, store: TokenStore, tokens: Tokens, states: Vectors
) -> TokenFeatures:
    """A query of ``tokens`` with ``states`` (L, d) as late interaction with ``store`` reads it."""
    own = encoder.own_tokens(tokens)
    projected, weights = store.coder.queries(states[own], tokens.ids[own])
    return TokenFeatures(states[own], projected, weights)


class Retrieve:
    """Asks each retriever once for all queries of a batch that need it."""

    def __init__(self, retrievers: Mapping[RetrieverName, Retriever]) -> None:
        self._retrievers = retrievers

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with what each retriever found."""
        found: list[dict[RetrieverName, Candidates]] = [{} for _ in states]
        for name, retriever in self._retrievers.items():
            places = [i for i, state in enumerate(states) if name in state.plan.retrievers]
            if places:
                vectors = np.stack([states[i].features.vector for i in places])
                depths = [states[i].plan.retrieval_depth for i in places]
                candidates = retriever.search(vectors, depths, [states[i].allow for i in places])
                for i, one in zip(places, candidates, strict=True):
                    found[i][name] = one
        return [replace(state, retrieved=one) for state, one in zip(states, found, strict=True)]


class Fuse:
    """Makes one list of what the retrievers found."""

    def __init__(self, index: VectorIndex, known: KnownQueries) -> None:
        self._index, self._known = index, known

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState]:
        """The states with at most ``plan.depth`` candidates, best first."""
        return [replace(state, candidates=self._fused(state)) for state in states]

    def _fused(self, state: QueryState) -> Candidates:
        plan, retrieved, vector = state.plan, state.retrieved, state.features.vector
        if plan.dense_weight is None:
            return retrieved["dense"]
        if plan.neighbours != "adapted":
            voted = retrieved["voting" if plan.neighbours == "voting" else "online"]
            return fuse_votes(
                retrieved["dense"],
                voted,
                vector,
                self._index.vectors,
                plan.dense_weight,
                plan.depth,
            )
        rows = np.unique(np.concatenate([one.rows for one in retrieved.values()]))
        passages, means = self._index.vectors(rows), self._known.means(rows)
        return fuse_adapted(rows, passages, means, vector, plan.dense_weight, plan.depth)
