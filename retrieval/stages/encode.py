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


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the query encoder makes of a text, whatever it is compared with."""

    tokens: Tokens
    spans: Spans  # of the tokens in the text
    vector: Vectors  # (d,)
    states: Vectors | None = None  # (L, d), where anything reads them


class Encode:
    """Encodes queries together; token states only where a ranker reads them."""

    def __init__(
        self, encoder: Encoder | None, store: TokenStore | None, lexical: LexicalIndex | None,
        reader: PassageReader | None,
    ) -> None:  # fmt: skip
        """``encoder`` None: no plan asks for vectors."""
        self._encoder, self._store, self._lexical = encoder, store, lexical
        self._reader = reader

    def __call__(
        self, planned: Sequence[Planned], encoded: Sequence[Encoded | None] = ()
    ) -> list[QueryState]:
        """The state of each query, with its features.

        ``encoded`` has what ``texts`` of another bundle with the same encoder made of them.
        """
        known = list(encoded) or self.texts(planned)
        return [
            QueryState(
                one.query, one.plan, one.allow,
                self._with_terms(
                    one,
                    _NOTHING if text is None else self._features(one, text),
                    None if text is None else text.spans,
                ),
                stands_for=one.stands_for, degraded=one.query.left_out,
            )
            for one, text in zip(planned, known, strict=True)
        ]  # fmt: skip

    def texts(self, planned: Sequence[Planned]) -> list[Encoded | None]:
        """The text of each query, encoded; None where nothing reads its vector."""
        found: list[Encoded | None] = [None] * len(planned)
        encoder = self._encoder
        places = [i for i, one in enumerate(planned) if _needs_vector(one)]
        if encoder is None or not places:
            return found
        some = [planned[i] for i in places]
        tokens, spans = encoder.tokenise_with_spans([one.query.text for one in some])
        states: Sequence[Vectors | None] = [None] * len(some)
        if self._store is not None and any(one.plan.ranker for one in some):
            vectors, states = encoder.encode_states(tokens)
        else:
            vectors = encoder.encode_tokens(tokens)
        for i, one, where, vector, state in zip(
            places, tokens, spans, vectors, states, strict=True
        ):
            found[i] = Encoded(one, where, vector, state)
        return found

    def _features(self, planned: Planned, text: Encoded) -> QueryFeatures:
        encoder, ranker, tokens = self._encoder, planned.plan.ranker, text.tokens
        if ranker is None or encoder is None or self._store is None or text.states is None:
            return QueryFeatures(tokens, text.vector)
        return QueryFeatures(
            tokens, text.vector,
            token_features=token_features(encoder, self._store, tokens, text.states),
            reader_query=self._reader.query(encoder, tokens)
            if ranker == "reader" and self._reader is not None
            else None,
        )  # fmt: skip

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
