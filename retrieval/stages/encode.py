"""A query's features: what the query encoder and the analyser make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Spans, Tokens
from lurcher.retrieval.names import named_share
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import Plan, Query, QueryFeatures, QueryState, TokenFeatures

_NOTHING = QueryFeatures(Tokens([], truncated=False), np.zeros(0, np.float32))


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
        self, encoder: Encoder | None, store: TokenStore | None, lexical: LexicalIndex | None,
        reader: PassageReader | None,
    ) -> None:  # fmt: skip
        """``encoder`` None: no plan asks for vectors."""
        self._encoder, self._store, self._lexical = encoder, store, lexical
        self._reader = reader

    def __call__(self, planned: Sequence[Planned]) -> list[QueryState]:
        """The state of each query, with its features."""
        encoded: dict[int, QueryFeatures] = {}
        spans: dict[int, Spans] = {}
        if self._encoder is not None:
            places = [i for i, one in enumerate(planned) if _needs_vector(one)]
            some = [planned[i] for i in places]
            tokens, found = self._encoder.tokenise_with_spans([one.query.text for one in some])
            spans = dict(zip(places, found, strict=True))
            encoded = dict(zip(places, self._encoded(self._encoder, some, tokens), strict=True))
        return [
            QueryState(
                one.query, one.plan, one.allow,
                self._with_terms(one, encoded.get(i, _NOTHING), spans.get(i)),
                stands_for=one.stands_for, degraded=one.query.left_out,
            )
            for i, one in enumerate(planned)
        ]  # fmt: skip

    def _encoded(
        self, encoder: Encoder, planned: Sequence[Planned], tokens: Sequence[Tokens]
    ) -> list[QueryFeatures]:
        if not planned:
            return []
        rankers = [one.plan.ranker for one in planned]
        if self._store is None or not any(rankers):
            vectors = encoder.encode_tokens(tokens)
            return [QueryFeatures(*one) for one in zip(tokens, vectors, strict=True)]
        vectors, states = encoder.encode_states(tokens)
        return [
            QueryFeatures(text, vector)
            if ranker is None
            else QueryFeatures(
                text, vector,
                token_features=token_features(encoder, self._store, text, found),
                reader_query=self._reader.query(encoder, text)
                if ranker == "reader" and self._reader is not None
                else None,
            )
            for ranker, text, vector, found in zip(rankers, tokens, vectors, states, strict=True)
        ]  # fmt: skip

    def _with_terms(
        self, planned: Planned, features: QueryFeatures, spans: Spans | None
    ) -> QueryFeatures:
        """``features`` with the query's terms; ``spans`` say where its tokens stand, None: it has none."""
        if self._lexical is None or "lexical" not in planned.plan.retrievers:
            return features
        text = planned.query.text
        alone = len(text.split()) == 1
        terms = self._lexical.look_up(self._lexical.analyser.query_terms(text), alone)
        named = 0.0 if spans is None else named_share(text, spans, terms)
        return replace(features, terms=terms, named=named)


def _needs_vector(planned: Planned) -> bool:
    """Whether anything reads the query's vector."""
    plan = planned.plan
    return (
        plan.ranker is not None or plan.retrievers != ("lexical",) or planned.query.read is not None
    )


def token_features(
    encoder: Encoder, store: TokenStore, tokens: Tokens, states: Vectors
) -> TokenFeatures:
    """A query of ``tokens`` with ``states`` (L, d) as late interaction with ``store`` reads it."""
    own = encoder.own_tokens(tokens)
    projected, weights = store.coder.queries(states[own], tokens.ids[own])
    return TokenFeatures(states[own], projected, weights)
