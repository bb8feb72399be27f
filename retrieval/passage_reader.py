"""What a bundle's reader makes of passages for a query: logits of where spans of an answer start and end.

Answers are spans of a few hits (``stages.read``); a ranker wants the best span of each candidate.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.batches import Pause
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.reader.reader import Reader, ReaderConfig
from lurcher.models.reader.spans import NOTHING, best_logits
from lurcher.models.reader.spans import Span as TokenSpan
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.passages import informative_tokens
from lurcher.retrieval.answer_words import says_something, widened
from lurcher.retrieval.results import Part, Span
from lurcher.retrieval.spans import in_passage


@dataclass(frozen=True, slots=True)
class ReaderQuery:
    """A query as a reader gets it."""

    states: Vectors  # (L, d), of the lower layers, as codes decode to
    weights: Vectors  # (L,) that add up to 1


@dataclass(frozen=True)
class ReadPassage:
    """A passage that was read: where spans of its informative tokens start and end."""

    passage: Passage
    encoder: Encoder
    positions: Rows  # (n,) of the informative ones among the passage's own tokens
    logits: Vectors  # (n, 2)

    @cached_property
    def _token_spans(self) -> list[Span]:
        return self.encoder.own_spans(self.passage.content)

    def logit(self, span: TokenSpan) -> float:
        """That of ``span`` beside nothing's, which is 0."""
        return float(self.logits[span.first, 0] + self.logits[span.last, 1])

    def answer(self, span: TokenSpan) -> tuple[str, Part, Span] | None:
        """The ``words`` of ``span`` as shown, whole words and phrases; None where they say nothing."""
        found = self.words(span)
        if found is None:
            return None
        _, part, place = found
        whole = self.passage.heading if part == "title" else self.passage.text
        start, end = widened(whole, *place)
        return (whole[start:end], part, (start, end)) if says_something(whole[start:end]) else None

    def words(self, span: TokenSpan) -> tuple[str, Part, Span] | None:
        """The words of ``span``, the part of the passage that they stand in, and where; None for none."""
        content = self.passage.content
        start, _ = self._token_spans[self.positions[span.first]]
        _, end = self._token_spans[self.positions[span.last]]
        # Tokenisers that take accents off say nothing of where they stood.
        while end < len(content) and unicodedata.category(content[end])[0] == "M":
            end += 1
        found = in_passage(self.passage, (start, end))
        if found is None:
            return None
        part, (start, end) = found
        whole = self.passage.heading if part == "title" else self.passage.text
        words = whole[start:end].strip()
        start += len(whole[start:end]) - len(whole[start:end].lstrip())
        return (words, part, (start, start + len(words))) if words else None


class PassageReader:
    """A bundle's reader and what it reads; call it from one thread at a time."""

    def __init__(
        self, reader: Reader, store: ReadingStore, tokens: TokenCoder, passages: PassageStore,
        encoder: Encoder,
    ) -> None:  # fmt: skip
        """``tokens`` says which tokens of ``passages``, as ``encoder`` reads them, are in ``store``."""
        self._reader, self._store, self._tokens = reader, store, tokens
        self._passages, self._encoder = passages, encoder

    @property
    def config(self) -> ReaderConfig:
        """The reader's own description."""
        return self._reader.config

    def query(self, queries: Encoder, tokens: Tokens) -> ReaderQuery:
        """A question, whose tokens by the encoder ``queries`` are ``tokens``."""
        own = queries.own_tokens(tokens)
        # The passages' graph reads it as well: a student has the last states alone.
        (states,) = self._encoder.lower_states([tokens])
        return ReaderQuery(
            self._store.coder.query(states[own]), self._tokens.weights(tokens.ids[own])
        )

    def counts(self, rows: Rows) -> Rows:
        """How many tokens there are to read of each of the passages in ``rows`` (C,)."""
        return self._store.counts(rows)

    def read(
        self, query: ReaderQuery, rows: Rows, passages: Sequence[Passage] | None = None,
        pause: Pause | None = None,
    ) -> dict[int, ReadPassage]:  # fmt: skip
        """The passages in ``rows`` (C,), read for ``query``, by row; ``passages`` if they are at hand.

        Passages without tokens are left out, and so are those whose text has another number of tokens than
        the store has codes for. A query without tokens reads nothing.
        """
        codes, counts = self._store.gather(rows)
        some = np.flatnonzero(counts) if len(query.states) else rows[:0]
        if passages is None:
            texts = self._passages.get(rows[some].tolist())
        else:
            texts = [passages[place] for place in some.tolist()]
        tokens = self._encoder.tokenise([passage.content for passage in texts])
        informative = informative_tokens(self._encoder, self._tokens, tokens)
        fits = np.array([len(ids) for _, ids in informative], np.int64) == counts[some]
        if not fits.any():
            return {}
        kept = np.flatnonzero(fits).tolist()
        there = some[fits]
        among = np.zeros(len(rows), np.bool_)
        among[there] = True
        positions = [informative[i][0] for i in kept]
        ids = np.concatenate([informative[i][1] for i in kept])
        states = self._store.coder.decode(codes[np.repeat(among, counts)], ids)
        logits = self._reader.logits(
            query.states, query.weights, states, np.concatenate(positions), counts[there], pause
        )
        parts = np.split(logits, np.cumsum(counts[there])[:-1])
        return {
            row: ReadPassage(texts[i], self._encoder, position, part)
            for row, i, position, part in zip(
                rows[there].tolist(), kept, positions, parts, strict=True
            )
        }

    def best_logits(self, rows: Rows, logits: Mapping[int, Vectors]) -> Vectors:
        """The logit (C,) of the best span of each passage in ``rows``; ``NOTHING`` for what was not read.

        ``logits`` (n, 2) are those of what was, by row.
        """
        best = np.full(len(rows), NOTHING, np.float32)
        places = [place for place, row in enumerate(rows.tolist()) if row in logits]
        if places:
            some = [logits[int(rows[place])] for place in places]
            counts = np.array([len(one) for one in some])
            best[places] = best_logits(np.concatenate(some), counts, self.config.longest)
        return best
