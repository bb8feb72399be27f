"""The read stage: which words of a question's hits answer it, by a trained reader over their 1-bit tokens.

Spans of all hits that are read compete with each other and with "nothing answers" (models.reader.spans), each
with its hit's search score, weighed, on top. Those that say the same are one answer, which two numbers of the
reader make a probability.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np

from bundle.passages import Passage, Rows
from bundle.reading import ReadingStore
from bundle.vectors import Vectors
from models.encoders.encoder import Encoder
from models.encoders.tokenizer import Tokens
from models.reader.answers import LOOKED_AT, answers_of, probability
from models.reader.reader import Reader
from models.reader.spans import Span, best_spans
from models.tokens.coder import Codes, TokenCoder
from models.tokens.passages import telling_tokens
from server.matches import Part, Place, in_passage
from server.ranking import T5
from server.searching import Query

# Spans that are looked at for each answer that is wanted, some of which say the same.
_SPANS_AN_ANSWER = 5

# Of its estimated time, how much must be left.
_SPARE = 2.0

# Fewer tokens than so many, of a query and passages together, take about as long.
_FEW_TOKENS = 256

# Tokens that a T5 writes at most.
_WRITTEN = 48

NO_READER = "this bundle has no reader; `lurcher build --answers` makes one that has"
NO_WRITER = "this bundle has no T5 that could; `lurcher build --ranker` puts one in"


@dataclass(frozen=True, slots=True)
class Question(Query):
    """A query whose hits are read for at most ``answers`` answers.

    Each has a probability of at least ``min_score``, None: of the reader's own. Where reading all hits would
    not be done by ``until``, fewer are read, though at least one. With ``write`` the bundle's T5 writes an
    answer, too.
    """

    answers: int = 3
    min_score: float | None = None
    write: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a reader gets it."""

    states: Vectors  # (L, d) among decoded ones
    weights: Vectors  # (L,) that add up to 1


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: the words at ``place``, in code points, of a ``part`` of the passage.

    ``score`` is how probable it is that they are right.
    """

    text: str
    score: float
    passage: Passage
    part: Part
    place: Place


@dataclass(frozen=True, slots=True)
class Written:
    """What a T5 writes of the passages of ``ids``; ``score`` is how sure it is of its words, 0 to 1."""

    text: str
    score: float
    ids: list[str]


def write(t5: T5, question: Question, rows: Rows, passages: Sequence[Passage]) -> Written:
    """What ``t5`` writes of all the ``passages`` at ``rows`` together."""
    text, score = t5.decoder.write(question.text, t5.states.of(rows), _WRITTEN)
    return Written(text, score, [passage.id for passage in passages])


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one question, most probable first; ``hurried`` where time was too short for all hits."""

    found: list[Answered]
    hurried: bool


@dataclass(frozen=True)
class _Text:
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


class Answering:
    """A bundle's reader and what it reads; call it from one thread at a time."""

    def __init__(
        self, reader: Reader, store: ReadingStore, tokens: TokenCoder, passages: Encoder
    ) -> None:
        """``tokens`` says which of a passage's tokens have codes in ``store``; ``passages`` reads those."""
        self._reader, self._store, self._tokens = reader, store, tokens
        self._passages = passages
        # For each token of a passage, and of the query beside it.
        self._seconds_a_token = 5e-5

    def asked(self, queries: Encoder, tokens: Tokens) -> Asked:
        """What a question asks that is ``tokens`` to ``queries``."""
        own = queries.own_tokens(tokens)
        # The passages' graph reads it, too: a student knows the last states alone.
        (states,) = self._passages.lower_states([tokens])
        return Asked(self._store.coder.query(states[own]), self._tokens.weights(tokens.ids[own]))

    def run(
        self, question: Question, asked: Asked, rows: Rows, scores: Vectors,
        passages: Sequence[Passage],
    ) -> Answers:  # fmt: skip
        """What the ``passages`` at ``rows``, whose search scores are ``scores`` (C,), answer.

        Those without tokens answer nothing, and neither do those whose text has another number of tokens than
        the store has codes for.
        """
        start, length = perf_counter(), len(asked.states)
        codes, counts = self._store.of(rows)
        there = np.flatnonzero(counts) if length else rows[:0]
        tokens = counts[there] + length
        hits = there[: self._affordable(question, start, tokens)]
        texts = self._texts([passages[hit] for hit in hits.tolist()])
        fits = np.array([len(text.ids) for text in texts], np.int64) == counts[hits]
        read = np.zeros(len(rows), np.bool_)
        read[hits[fits]] = True
        found = self._answers(
            question, asked, [text for text, fit in zip(texts, fits, strict=True) if fit],
            codes[np.repeat(read, counts)], scores[read],
        )  # fmt: skip
        # Few tokens say nothing of what one more costs.
        took = (perf_counter() - start) / max(_FEW_TOKENS, int(tokens[: len(hits)].sum()))
        self._seconds_a_token += 0.1 * (took - self._seconds_a_token)
        return Answers(found, hurried=len(hits) < len(there))

    def _affordable(self, question: Question, start: float, tokens: Rows) -> int:
        """How many passages can be read in time, of ``tokens`` (C,) each with the query's; at least one."""
        if question.until is None:
            return len(tokens)
        most = (question.until - start) / (_SPARE * self._seconds_a_token)
        return max(1, int(np.searchsorted(np.cumsum(tokens), most, side="right")))

    def _texts(self, passages: Sequence[Passage]) -> list[_Text]:
        encoder, texts = self._passages, []
        tokens = encoder.tokenise([passage.content for passage in passages])
        for passage, text in zip(passages, tokens, strict=True):
            telling = telling_tokens(encoder, self._tokens, text)
            texts.append(_Text(passage, encoder, *telling))
        return texts

    def _answers(
        self, question: Question, asked: Asked, texts: Sequence[_Text], codes: Codes,
        scores: Vectors,
    ) -> list[Answered]:  # fmt: skip
        """What ``texts``, of search scores (C,), answer; ``codes`` are theirs, one text after the other."""
        if not texts:
            return []
        config, coder = self._reader.config, self._store.coder
        ids = np.concatenate([text.ids for text in texts])
        places = np.concatenate([text.places for text in texts])
        counts = np.array([len(text.ids) for text in texts])
        logits = self._reader.logits(
            asked.states, asked.weights, coder.decode(codes, ids), places, counts
        )
        bonus = np.float32(config.rank_weight) * scores
        most = max(LOOKED_AT, _SPANS_AN_ANSWER * question.answers)
        spans = best_spans(logits, counts, bonus, config.longest, most)
        said = {span: texts[span.passage].said(span) for span in spans}
        words = [one[0] if one else "" for one in said.values()]
        least = config.min_score if question.min_score is None else question.min_score
        found = []
        for answer in answers_of(spans, words)[: question.answers]:
            score = probability(answer.logarithm, config.slope, config.offset)
            one = said[answer.span]
            if one is not None and score >= least:
                found.append(Answered(one[0], score, texts[answer.span.passage].passage, *one[1:]))
        return found
