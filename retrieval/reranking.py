"""Texts of a request, read as the build reads passages, and the scores of passages named or read.

Reading is the work of many short turns, so that searches get in between; scoring is one short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.tokens.coder import Coded
from lurcher.models.tokens.passages import encode_passages
from lurcher.retrieval.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Reading:
    """A text to read, as a passage's content is: without blanks around it, and cut to ``max_tokens``."""

    text: str
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What a passage comes to: its vector (d,), its codes, and whether it was longer than is read."""

    vector: Vectors
    coded: Coded
    truncated: bool


@dataclass(frozen=True, slots=True)
class Rerank:
    """Passages to score for a query: rows of the bundle, or some just read."""

    query: str
    passages: Rows | tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Reranked:
    """The scores (C,) of the passages, and whether the query was longer than the encoder reads."""

    scores: Vectors
    truncated: bool


class PassageSide:
    """The encoder of a bundle's passages, loaded when first needed where it is not the queries'."""

    def __init__(self, bundle: Bundle, queries: Encoder, threads: int) -> None:
        self._bundle, self._threads = bundle, threads
        self._queries = queries
        config = queries.config
        alike = config.query_prompt == config.passage_prompt
        self._reader = queries if alike else None  # the same tokens
        same = alike and config.query_graph == config.passage_graph
        self._encoder = queries if same else None

    @property
    def reader(self) -> Encoder:
        """What tokenises passages. Raises ModelError."""
        return self._reader or self.encoder

    @property
    def encoder(self) -> Encoder:
        """What encodes passages. Raises ModelError."""
        if self._encoder is None:
            folder = self._bundle.path / ENCODER
            # Not by the engine of a sparse student, which cannot run every graph.
            self._encoder = Encoder.load(folder, "passage", self._threads)
        return self._encoder


class Reranking:
    """Scores of passages beside a search; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, queries: Encoder, side: PassageSide, ranking: Ranking
    ) -> None:
        self._bundle, self._queries, self._side, self._ranking = bundle, queries, side, ranking

    def read(self, works: Sequence[Reading]) -> list[Read]:
        """What the texts come to, by the pass that the build makes over passages. Raises ModelError."""
        encoder, store = self._side.encoder, self._ranking.store
        texts = [work.text.strip() for work in works]
        tokens = [
            tokens if work.max_tokens is None else encoder.cut(tokens, work.max_tokens)
            for tokens, work in zip(encoder.tokenise(texts), works, strict=True)
        ]
        vectors, coded = encode_passages(
            encoder,
            tokens,
            lambda ids, states: store.coder.code_batch(states, ids, store.settings.keep_ratio),
        )
        # No query comes near a passage of nothing.
        vectors[[not text for text in texts]] = 0.0
        return [
            Read(vector, codes, text.truncated)
            for vector, codes, text in zip(vectors, coded, tokens, strict=True)
        ]

    def rerank(self, work: Rerank) -> Reranked:
        """The scores of the passages of ``work``: what a search ranks them by, without known queries."""
        (tokens,) = self._queries.tokenise([work.query])
        (vector,), (states,) = self._queries.encode_states([tokens])
        asked = self._ranking.asked(self._queries, tokens, states)
        if isinstance(work.passages, tuple):
            vectors = np.stack([one.vector for one in work.passages])
            codes = np.concatenate([one.coded.codes for one in work.passages])
            counts = np.array([len(one.coded.codes) for one in work.passages])
        else:
            vectors = self._bundle.vectors.vectors(work.passages)
            codes, counts = self._ranking.store.gather(work.passages)
        return Reranked(
            self._ranking.score(asked, vectors @ vector, codes, counts), tokens.truncated
        )
