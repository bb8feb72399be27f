"""What a bundle's reader makes of passages for a query: the logits of where spans start and end.

Answers are spans of a few hits (server.answering); ranking wants the best of each candidate (server.ranking).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage, Passages, Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.reader.reader import Reader, ReaderConfig
from lurcher.models.reader.spans import NOTHING, Span, best_logits
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.passages import informative_tokens
from lurcher.retrieval.places import Part, Place, in_passage

NO_READER = "this bundle has no reader; `lurcher build --answers` makes one that has"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A query as a reader gets it."""

    states: Vectors  # (L, d) among decoded ones
    weights: Vectors  # (L,) that add up to 1


@dataclass(frozen=True)
class Text:
    """A passage to read: which of its own tokens have codes, and their ids, (n,) both."""

    passage: Passage
    encoder: Encoder
    places: Rows
    ids: Rows

    @cached_property
    def _spans(self) -> list[Place]:
        return self.encoder.own_spans(self.passage.content)

    def said(self, span: Span) -> tuple[str, Part, Place] | None:
        """The words of ``span``, in which part of the passage they stand, and where; None for none."""
        content = self.passage.content
        start, end = self._spans[self.places[span.first]][0], self._spans[self.places[span.last]][1]
        # Tokenisers that take accents off say nothing of where they stood.
        while end < len(content) and unicodedata.category(content[end])[0] == "M":
            end += 1
        found = in_passage(self.passage, (start, end))
        if found is None:
            return None
        part, (start, end) = found
        whole = self.passage.title if part == "title" else self.passage.text
        words = whole[start:end].strip()
        start += len(whole[start:end]) - len(whole[start:end].lstrip())
        return (words, part, (start, start + len(words))) if words else None


@dataclass(frozen=True, slots=True)
class Read:
    """Those of C passages that could be read, and where spans of them start and end."""

    there: Rows  # (R,) which of the C passages
    texts: list[Text]  # (R,)
    counts: Rows  # (R,) tokens of each
    logits: Vectors  # (n, 2), passage after passage


class PassageReader:
    """A bundle's reader and what it reads; call it from one thread at a time."""

    def __init__(
        self, reader: Reader, store: ReadingStore, tokens: TokenCoder, passages: Passages,
        encoder: Encoder,
    ) -> None:  # fmt: skip
        """``tokens`` says which tokens of ``passages``, as ``encoder`` reads them, are in ``store``."""
        self._reader, self._store, self._tokens = reader, store, tokens
        self._passages, self._encoder = passages, encoder

    @classmethod
    def of(
        cls, bundle: Bundle, encoder: Encoder, threads: int | None = None
    ) -> PassageReader | None:
        """That of ``bundle``, whose passages ``encoder`` reads, if it has one. Raises BundleError."""
        reader, store, tokens = bundle.span_reader(threads), bundle.reading, bundle.tokens
        if reader is None or store is None or tokens is None:
            return None
        return cls(reader, store, tokens.coder, bundle.passages, encoder)

    @property
    def config(self) -> ReaderConfig:
        """What the reader says of itself."""
        return self._reader.config

    def asked(self, queries: Encoder, tokens: Tokens) -> Inquiry:
        """What a question asks that is ``tokens`` to ``queries``."""
        own = queries.own_tokens(tokens)
        # The passages' graph reads it, too: a student knows the last states alone.
        (states,) = self._encoder.lower_states([tokens])
        return Inquiry(self._store.coder.query(states[own]), self._tokens.weights(tokens.ids[own]))

    def counts(self, rows: Rows) -> Rows:
        """How many tokens there are to read of each of the passages ``rows`` (C,)."""
        return self._store.starts[rows + 1] - self._store.starts[rows]

    def read(self, asked: Inquiry, rows: Rows, passages: Sequence[Passage]) -> Read:
        """The ``passages`` at ``rows`` (C,), read for what is ``asked``.

        Left out are those without tokens, and those whose text has another number of tokens than the store
        has codes for. A question without tokens reads nothing.
        """
        codes, counts = self._store.gather(rows)
        there = np.flatnonzero(counts) if len(asked.states) else rows[:0]
        texts = self._texts([passages[place] for place in there.tolist()])
        fits = np.array([len(text.ids) for text in texts], np.int64) == counts[there]
        there, texts = there[fits], [text for text, fit in zip(texts, fits, strict=True) if fit]
        if not texts:
            return Read(there, [], counts[there], np.zeros((0, 2), np.float32))
        read = np.zeros(len(rows), np.bool_)
        read[there] = True
        ids = np.concatenate([text.ids for text in texts])
        decoded = self._store.coder.decode(codes[np.repeat(read, counts)], ids)
        places = np.concatenate([text.places for text in texts])
        logits = self._reader.logits(asked.states, asked.weights, decoded, places, counts[there])
        return Read(there, texts, counts[there], logits)

    def best(self, asked: Inquiry, rows: Rows) -> Vectors:
        """The logit (C,) of the best span of each passage; of one that cannot be read, ``NOTHING``."""
        read = self.read(asked, rows, self._passages.get(rows.tolist()))
        found = np.full(len(rows), NOTHING, np.float32)
        found[read.there] = best_logits(read.logits, read.counts, self.config.longest)
        return found

    def _texts(self, passages: Sequence[Passage]) -> list[Text]:
        encoder, texts = self._encoder, []
        tokens = encoder.tokenise([passage.content for passage in passages])
        for passage, text in zip(passages, tokens, strict=True):
            telling = informative_tokens(encoder, self._tokens, text)
            texts.append(Text(passage, encoder, *telling))
        return texts
