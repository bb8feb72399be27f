"""The rank stage: late interaction over the candidates' packed tokens, with a decoder or a reader on top.

A T5's decoder reads its own states of the candidates instead. What it says of them are logarithms of
likelihoods or of odds, which nothing is added to: they order the hits alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.state_store import StateStore
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.errors import FieldError
from lurcher.models.ranker.decoder import Decoder
from lurcher.models.ranker.maxsim import blend, maxsim, replaced, similarities
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder
from lurcher.models.reader.spans import NOTHING
from lurcher.models.tokens.coder import Codes
from lurcher.retrieval.reading import NO_READER, Inquiry, PassageReader
from lurcher.retrieval.searching import Hits, Query, RankMode

# How many of the first stage's best are ranked, unless a query asks for more hits than these.
CANDIDATES = 100

# Of its estimated time, how much must be left: the passages have to be fetched, too.
_SPARE = 2.0

# A T5 takes about as long for each of few candidates as for each of many.
_FEW_READ = 10

# What a candidate costs whatever the query: to unpack its codes is as much as so many of the query's tokens
# are to meet them. With it the time a token is the same from 4 tokens to 254, by tokens and by the decoder.
_UNPACKING = 8

# What a unit of the logit of a passage's best span adds to its score, by development questions of squad-open
# and training claims of SciFact: where a reader is at home more gains little, and elsewhere it does harm.
READ_WEIGHT = 0.01
# How many of the best by all else are read; with 50 it gains hardly more.
READ = 20

NO_DECODER = (
    "this bundle has no decoder; `lurcher swap-ranker` or `lurcher build --ranker` puts one in"
)
NO_TOKENS = "this bundle has no tokens to rank by; `lurcher build` makes one that has"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as it meets packed tokens."""

    states: Vectors  # (L, d)
    points: Vectors  # (L, bits) unit-norm
    weights: Vectors  # (L,) that add up to 1
    inquiry: Inquiry | None = None  # as a reader gets it, where one ranks


@dataclass(frozen=True, slots=True)
class T5:
    """A T5's decoder and what it reads."""

    decoder: Seq2SeqDecoder
    states: StateStore

    def scores(self, text: str, rows: Rows) -> Vectors:
        """Of each of the passages ``rows`` (C,), for the query ``text``: (C,) float32."""
        return self.decoder.scores(text, self.states.gather(rows))


class Ranking:
    """A bundle's token store, read by queries; call it from one thread at a time."""

    def __init__(
        self,
        store: TokenStore | None,
        decoder: Decoder | None = None,
        t5: T5 | None = None,
        reader: PassageReader | None = None,
    ) -> None:
        """``decoder`` or ``t5`` is what ``rank: "decoder"`` asks; a T5 needs no tokens."""
        self._store, self._decoder, self._t5, self._reader = store, decoder, t5, reader
        # For a candidate and a token of the query.
        self._seconds_a_token = {
            "maxsim": 5e-7, "decoder": 5e-6 if t5 is None else 5e-4, "reader": 5e-5,
        }  # fmt: skip

    @property
    def store(self) -> TokenStore:
        """The tokens; ask only where a plan says that there are any."""
        assert self._store is not None  # noqa: S101 (plan has said no)
        return self._store

    def plan(self, query: Query) -> int | FieldError | None:
        """How many candidates to rank for ``query``; None for none, or why what it asks cannot be."""
        if query.rank == "off" or (query.rank == "auto" and self._store is None):
            return None
        if query.rank != "decoder" or self._t5 is None:
            if self._store is None:
                return FieldError("rank", NO_TOKENS)
            if query.rank == "decoder" and self._decoder is None:
                return FieldError("rank", NO_DECODER)
            if query.rank == "reader" and self._reader is None:
                return FieldError("rank", NO_READER)
        return max(query.top_k, CANDIDATES if query.candidates is None else query.candidates)

    def asked(
        self, encoder: Encoder, tokens: Tokens, states: Vectors, rank: RankMode = "auto"
    ) -> Asked:
        """What a query of ``tokens`` with ``states`` (L, d) asks, without special tokens."""
        own = encoder.own_tokens(tokens)
        points, weights = self.store.coder.queries(states[own], tokens.ids[own])
        inquiry = None
        if rank == "reader" and self._reader is not None:
            inquiry = self._reader.asked(encoder, tokens)
        return Asked(states[own], points, weights, inquiry)

    def run(self, query: Query, asked: Asked | None, hits: Hits) -> Hits:
        """``hits`` in a new order; as they are where the query's time would run out.

        ``asked`` None is for a bundle without tokens.
        """
        start, count = perf_counter(), len(hits.rows)
        estimate = self._seconds_a_token
        way = "maxsim" if query.rank == "auto" else query.rank
        t5 = self._t5 if way == "decoder" else None
        length = _UNPACKING + _length(query, asked, t5)
        if (
            query.until is not None
            and start + _SPARE * estimate[way] * count * length > query.until
        ):
            estimate[way] *= 0.9  # or one slow disk would put an end to all ranking
            return hits
        ranked = hits if asked is None else self._met(query, asked, hits)
        if t5 is not None:
            ranked = replace(ranked, rank=t5.scores(query.text, ranked.rows))
        # Few candidates say nothing of what one more costs.
        took = (perf_counter() - start) / max(_FEW_READ if t5 else CANDIDATES, count)
        estimate[way] += 0.1 * (took / length - estimate[way])
        return ranked.take(np.argsort(-ranked.best, kind="stable"))

    def _met(self, query: Query, asked: Asked, hits: Hits) -> Hits:
        """``hits`` with what their tokens say of them, and the decoder or the reader, if asked for."""
        codes, counts = self.store.gather(hits.rows)
        late = maxsim(asked.points, asked.weights, codes, counts)
        score = blend(hits.dense, late)
        if query.rank == "decoder" and self._decoder is not None:
            score = self._decoder.scores(
                asked.states, asked.weights, asked.points, codes, counts, score
            )
        first = hits.dense if hits.mixed is None else hits.mixed
        rank = replaced(first, hits.dense, score, hits.dense_weight)
        if query.rank == "reader" and self._reader is not None and asked.inquiry is not None:
            some = np.argsort(-rank, kind="stable")[:READ]
            best = np.full(len(score), NOTHING, np.float32)
            best[some] = self._reader.best(asked.inquiry, hits.rows[some])
            score = score + READ_WEIGHT * best
            rank = replaced(first, hits.dense, score, hits.dense_weight)
        # Where known queries alone count, this orders passages of which they say the same.
        return replace(hits, late=late, rank=rank).take(np.argsort(-score, kind="stable"))

    def score(self, asked: Asked, dense: Vectors, codes: Codes, counts: Rows) -> Vectors:
        """Final scores (C,) of passages whose inner products are ``dense``, without known queries."""
        return blend(dense, maxsim(asked.points, asked.weights, codes, counts))

    def met(self, asked: Asked, row: int) -> tuple[Rows, Vectors]:
        """Which of its own tokens (L,) in the passage ``row`` each query token met best, and how well.

        A code stands for several tokens; the one nearest to it is named. Both are empty for a passage
        without tokens.
        """
        codes, _ = self.store.gather(np.array([row]))
        if not len(codes):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        found = similarities(asked.points, codes)
        return self.store.positions_of(row)[found.argmax(axis=0)], found.max(axis=0)


def _length(query: Query, asked: Asked | None, t5: T5 | None) -> int:
    """How many tokens of ``query`` each candidate meets, in what takes longest."""
    if t5 is not None:
        return len(t5.decoder.reads(query.text))
    return 0 if asked is None else len(asked.points)
