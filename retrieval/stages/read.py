"""The read stage: which words of a question's hits answer it, by a trained reader over their 1-bit tokens.

Spans of all hits that are read compete with each other and with "nothing answers" (``models.reader.spans``),
each with its hit's search score, weighed, on top. They are widened to whole words and phrases
(``retrieval.answer_words``). Those with the same words are one answer, whose probability the reader's
calibration makes of the evidence for it (``models.reader.evidence``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import blend
from lurcher.models.reader.answers import LOOKED_AT, answers_of, logistic
from lurcher.models.reader.evidence import evidence_of, logit_of
from lurcher.models.reader.reader import ReaderConfig
from lurcher.models.reader.spans import Span as TokenSpan
from lurcher.models.reader.spans import best_spans
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.fusion import stand_in
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.passage_reader import PassageReader, ReaderQuery, ReadPassage
from lurcher.retrieval.query import QueryState, ReadOptions
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.rankers.t5 import T5
from lurcher.retrieval.results import Answer, Part, Span, WrittenAnswer

# The words of an answer, the part of the passage that they stand in, and where.
Words = tuple[str, Part, Span]

# Spans that are looked at for each answer that is wanted, as some have the same words.
_SPANS_AN_ANSWER = 5
# How many times the estimated time must be left.
_SPARE = 2.0
# Fewer tokens than these, of a query and passages together, take about as long.
_FEW_TOKENS = 256


class Read:
    """Finds answers in the hits of the queries that ask for any; call it from one thread at a time."""

    def __init__(
        self, encoder: Encoder, reader: PassageReader | None, t5: T5 | None, costs: CostModel
    ) -> None:
        """``encoder`` is that of queries."""
        self._encoder, self._reader, self._t5, self._costs = encoder, reader, t5, costs

    def __call__(self, states: Sequence[QueryState]) -> list[QueryState | LurcherError]:
        """The states with answers; where time is short fewer passages are read, though at least one."""
        return outcome_of_each(self._answered, states)

    def _answered(self, state: QueryState) -> QueryState:
        options = state.query.read
        if options is None:
            return state
        if options.write and self._t5 is not None:
            state = replace(state, written=self._written(self._t5, state))
        if self._reader is None:
            return state
        query = state.features.reader_query or self._reader.query(
            self._encoder, state.features.tokens
        )
        read, hurried = self._read(self._reader, state, query)
        question = is_question(state.query.text)
        answers = tuple(
            answers_in(self._reader.config, options, read, search_scores(state), question)
        )
        degraded = (*state.degraded, "read") if hurried else state.degraded
        return replace(state, answers=answers, degraded=degraded)

    def _written(self, t5: T5, state: QueryState) -> WrittenAnswer:
        query = state.query
        return t5.write(query.text, state.candidates.rows, state.passages, query.turn.pause)

    def _read(
        self, reader: PassageReader, state: QueryState, query: ReaderQuery
    ) -> tuple[dict[int, ReadPassage], bool]:
        """Those of the hits that time allows, by place among them, and whether some were left out."""
        turn, length = state.query.turn, len(query.states)
        start = turn.clock()
        rows, passages = state.candidates.rows, state.passages
        counts = reader.counts(rows)
        some = np.flatnonzero(counts) if length else rows[:0]
        known = np.array([row in state.read_passages for row in rows[some].tolist()], np.bool_)
        tokens = np.where(known, 0, counts[some] + length)  # what a ranker has read costs nothing
        allowed = self._affordable(state.query.deadline, perf_counter(), tokens)
        places, known = some[:allowed], known[:allowed]
        new = places[~known]
        found = {row: state.read_passages[row] for row in rows[places[known]].tolist()}
        if len(new):
            texts = [passages[place] for place in new.tolist()]
            found |= reader.read(query, rows[new], texts, turn.pause)
            # Few tokens say nothing of what one more costs.
            units = max(_FEW_TOKENS, int(tokens[:allowed].sum()))
            self._costs.observe("read", units, turn.clock() - start)
        read = {i: found[row] for i, row in enumerate(rows.tolist()) if row in found}
        return read, len(places) < len(some)

    def _affordable(self, deadline: float | None, now: float, tokens: Rows) -> int:
        """How many passages can be read in time, of ``tokens`` (C,) each with the query's; at least one."""
        if deadline is None:
            return len(tokens)
        most = (deadline - now) / (_SPARE * self._costs.estimate("read", 1))
        return max(1, int(np.searchsorted(np.cumsum(tokens), most, side="right")))


def answers_in(
    config: ReaderConfig, options: ReadOptions, read: dict[int, ReadPassage], scores: Vectors,
    question: bool,
) -> list[Answer]:  # fmt: skip
    """The answers in what a reader of that ``config`` has ``read``, by place among the hits.

    ``scores`` (C,) are the search's of the hits; ``question`` says that the query reads like one.
    """
    if not read:
        return []
    texts = list(read.values())
    scores = scores[list(read)]
    bonus = np.float32(config.rank_weight) * scores
    logits = np.concatenate([text.logits for text in texts])
    counts = np.array([len(text.logits) for text in texts])
    most = max(LOOKED_AT, _SPANS_AN_ANSWER * options.answers)
    spans = best_spans(logits, counts, bonus, config.longest, most)
    words = _apart(spans, [texts[span.passage].answer(span) for span in spans])
    least = config.min_score if options.min_score is None else options.min_score
    found = answers_of(spans, [one[0] if one else "" for one in words.values()])
    margins = [texts[one.span.passage].logit(one.span) for one in found]
    beside = [float(scores[one.span.passage]) for one in found]
    answers: list[Answer] = []
    score = 1.0
    for answer, evidence in zip(
        found[: options.answers], evidence_of(found, margins, beside, question), strict=False
    ):
        # What the reader holds for less probable is not said to be more so by the rest.
        logit = logit_of(evidence, config.slope, config.offset, config.weights)
        score = min(score, logistic(logit))
        one = words[answer.span]
        if one is not None and score >= least:
            text, part, span = one
            passage = texts[answer.span.passage].passage
            answers.append(Answer(text, score, passage, part, span, evidence))
    return answers


def _apart(
    spans: Sequence[TokenSpan], found: Sequence[Words | None]
) -> dict[TokenSpan, Words | None]:
    """What was ``found`` for each of ``spans``, which are best first.

    Spans that were apart may meet when they are widened; then the better one's words are those of both.
    """
    words: dict[TokenSpan, Words | None] = {}
    taken: dict[tuple[int, Part], list[Words]] = {}
    for span, one in zip(spans, found, strict=True):
        if one is not None:
            others = taken.setdefault((span.passage, one[1]), [])
            start, end = one[2]
            one = next((o for o in others if o[2][0] < end and start < o[2][1]), one)
            others.append(one)
        words[span] = one
    return words


def search_scores(state: QueryState) -> Vectors:
    """The search scores (C,) of the hits, on the scale that the reader's weight was made for.

    That is not a T5's; and what a reader says of a passage it says again of its spans.
    """
    columns, ranker = state.candidates.columns, state.plan.ranker
    if ranker in ("t5", "reader") and "maxsim" in columns:
        return stand_in(columns, blend(columns["dense"], columns["maxsim"], state.plan.late_weight))
    return state.candidates.score
