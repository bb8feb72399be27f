"""Scores of named passages, or of texts read for the request, beside a search.

Reading texts is the work of many short turns, so that searches get in between; scoring is one short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import LATE_WEIGHT, blend, maxsim
from lurcher.models.tokens.coder import Coded, TokenCoder
from lurcher.models.tokens.passages import encode_passages
from lurcher.order import evened, inner_products


@dataclass(frozen=True, slots=True)
class Document:
    """A text to encode as a passage's content is: without blanks around it, and cut to ``max_tokens``."""

    text: str
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A document's vector (d,), its codes, and whether it was longer than is read."""

    vector: Vectors
    coded: Coded
    truncated: bool


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """What to score for a query: passages in these rows, or documents just encoded."""

    query: str
    passages: Rows | tuple[EncodedDocument, ...]


@dataclass(frozen=True, slots=True)
class RerankScores:
    """The scores (C,), and whether the query was longer than the encoder reads."""

    scores: Vectors
    truncated: bool


class Reranker:
    """Scores passages as a search ranks them, without known queries; call it from one thread at a time."""

    def __init__(
        self, queries: Encoder, passages: Encoder, coder: TokenCoder, keep_ratio: float,
        stored: tuple[TokenStore, VectorStore] | None = None, late_weight: float = LATE_WEIGHT,
    ) -> None:  # fmt: skip
        """``queries`` and ``passages`` are the encoders of either side.

        ``coder`` codes documents, of which ``keep_ratio`` of the tokens are left. ``stored`` has what a
        bundle keeps of its passages; None: only documents can be scored. ``late_weight`` is that of maxsim
        against the inner product of the vectors.
        """
        self._queries, self._passages = queries, passages
        self._coder, self._keep_ratio, self._stored = coder, keep_ratio, stored
        self._late_weight = late_weight

    def encode(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        """The documents, encoded by the pass that a build makes over passages. Raises ModelError."""
        encoder = self._passages
        texts = [document.text.strip() for document in documents]
        tokens = [
            tokens if document.max_tokens is None else encoder.cut(tokens, document.max_tokens)
            for tokens, document in zip(encoder.tokenise(texts), documents, strict=True)
        ]
        vectors, coded = encode_passages(
            encoder,
            tokens,
            lambda ids, states: self._coder.code_batch(states, ids, self._keep_ratio),
        )
        # No query comes near a passage of nothing.
        vectors[[not text for text in texts]] = 0.0
        return [
            EncodedDocument(vector, codes, text.truncated)
            for vector, codes, text in zip(vectors, coded, tokens, strict=True)
        ]

    def score(self, request: RerankRequest) -> RerankScores:
        """The scores of the request's passages: what a search without known queries ranks them by."""
        (tokens,) = self._queries.tokenise([request.query])
        (vector,), (states,) = self._queries.encode_states([tokens])
        own = self._queries.own_tokens(tokens)
        projected, weights = self._coder.queries(states[own], tokens.ids[own])
        if isinstance(request.passages, tuple):
            vectors = np.stack([one.vector for one in request.passages])
            codes = np.concatenate([one.coded.codes for one in request.passages])
            counts = np.array([len(one.coded.codes) for one in request.passages])
        else:
            if self._stored is None:
                raise FieldError("passages", "there are none here, only documents can be ranked")
            store, index = self._stored
            vectors = index.vectors(request.passages)
            codes, counts = store.gather(request.passages)
        similarity = maxsim(projected, weights, codes, counts)
        score = blend(inner_products(vectors, vector), similarity, self._late_weight)
        return RerankScores(evened(score), tokens.truncated)
