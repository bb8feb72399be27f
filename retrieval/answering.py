"""The read stage: which words of a question's hits answer it, by a trained reader over their 1-bit tokens.

Spans of all hits that are read compete with each other and with "nothing answers" (models.reader.spans), each
with its hit's search score, weighed, on top. Those that say the same are one answer, which two numbers of the
reader make a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.reader.answers import LOOKED_AT, answers_of, probability
from lurcher.models.reader.spans import best_spans
from lurcher.retrieval.places import Part, Place
from lurcher.retrieval.ranking import T5
from lurcher.retrieval.reading import Inquiry, PassageReader, Read
from lurcher.retrieval.searching import Query

# Spans that are looked at for each answer that is wanted, some of which say the same.
_SPANS_AN_ANSWER = 5

# Of its estimated time, how much must be left.
_SPARE = 2.0

# Fewer tokens than so many, of a query and passages together, take about as long.
_FEW_TOKENS = 256

# Tokens that a T5 writes at most.
_WRITTEN = 48

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
    text, score = t5.decoder.write(question.text, t5.states.gather(rows), _WRITTEN)
    return Written(text, score, [passage.id for passage in passages])


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one question, most probable first; ``hurried`` where time was too short for all hits."""

    found: list[Answered]
    hurried: bool


class Answering:
    """Answers of what a bundle's reader reads; call it from one thread at a time."""

    def __init__(self, reader: PassageReader) -> None:
        self._reader = reader
        # For each token of a passage, and of the query beside it.
        self._seconds_a_token = 5e-5

    def run(
        self, question: Question, asked: Inquiry, rows: Rows, scores: Vectors,
        passages: Sequence[Passage],
    ) -> Answers:  # fmt: skip
        """What the ``passages`` at ``rows``, whose search scores are ``scores`` (C,), answer.

        Those that cannot be read answer nothing (PassageReader.read).
        """
        start, length = perf_counter(), len(asked.states)
        counts = self._reader.counts(rows)
        there = np.flatnonzero(counts) if length else rows[:0]
        tokens = counts[there] + length
        hits = there[: self._affordable(question, start, tokens)]
        read = self._reader.read(asked, rows[hits], [passages[hit] for hit in hits.tolist()])
        found = self._answers(question, read, scores[hits[read.there]])
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

    def _answers(self, question: Question, read: Read, scores: Vectors) -> list[Answered]:
        """What was ``read`` answers, of passages whose search scores are ``scores`` (R,)."""
        if not read.texts:
            return []
        config, texts = self._reader.config, read.texts
        bonus = np.float32(config.rank_weight) * scores
        most = max(LOOKED_AT, _SPANS_AN_ANSWER * question.answers)
        spans = best_spans(read.logits, read.counts, bonus, config.longest, most)
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
