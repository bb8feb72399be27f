"""What a reader's answers are worth, by development: the weight of search scores, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Rows
from lurcher.evaluation.answer_measures import calibration_error, exact_match, f1
from lurcher.models.reader.answers import LOOKED_AT, Answer, answers_of, log_odds, probability
from lurcher.models.reader.reader import Reader
from lurcher.models.reader.spans import best_spans
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.retrieval.answer_words import says_something, widened
from lurcher.training.ranker.questions import Judged
from lurcher.training.reader.batches import Library

Spans = list[tuple[int, int]]
Doubles = npt.NDArray[np.float64]
Measure = Callable[[str, Sequence[str]], float]

# Of a hit's score beside logits; scores are cosines, logits some tens.
_WEIGHTS = (0.0, 20.0, 40.0, 60.0, 80.0, 110.0, 150.0, 200.0)
_STEPS = 50  # of Newton's method, which converges in ten
_RIDGE = 1e-3  # keeps it finite where all answers are right


@dataclass(frozen=True, slots=True)
class Read:
    """A development question and the passages that were found for it, read."""

    logits: Vectors  # (n, 2), passage after passage
    counts: Integers  # (C,)
    rows: Rows  # (C,)
    scores: Vectors  # (C,) of the search
    relevant: Rows  # which rows are judged to answer it
    answers: list[str]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What goes into a reader's description, and the development figures that it comes with.

    ``scores`` (n,) are the probabilities of the answers to development questions, ``right`` (n,) which of
    them are.
    """

    rank_weight: float
    slope: float
    offset: float
    min_score: float
    figures: dict[str, float]
    scores: Doubles
    right: Doubles


class Development:
    """Development questions as a search finds passages for them."""

    def __init__(
        self, bundle: Bundle, library: Library, judged: Judged, answers: dict[str, list[str]]
    ) -> None:
        self._bundle, self._library = bundle, library
        self._judged, self._answers = judged, answers
        self._words: dict[int, tuple[str, Spans]] = {}

    @property
    def manifest(self) -> Manifest:
        """That of the bundle whose passages are read."""
        return self._bundle.manifest

    def read(self, reader: Reader, depth: int, most: int, seed: int) -> list[Read]:
        """At most so many questions, each with its ``depth`` best passages, as ``reader`` reads them."""
        questions, texts = self._library.questions, self._library.texts
        found = []
        order = np.random.default_rng(seed).permutation(len(questions))[:most]
        for question in np.sort(order).tolist():
            answers = self._answers.get(self._judged.ids[int(questions.kept[question])])
            if not answers:
                continue
            rows = questions.rows[question]
            rows = np.asarray(rows[rows >= 0][:depth])
            span = questions.tokens(question)
            logits, counts = texts.read(
                reader, self._library.store, rows, self._library.query_states(span),
                np.asarray(questions.weights[span]),
            )  # fmt: skip
            scores = np.asarray(questions.prior[question, : len(rows)])
            relevant = np.asarray(questions.relevant[questions.answers(question)])
            found.append(Read(logits, counts, rows, scores, relevant, answers))
        return found

    def best(
        self, read: Read, weight: float, longest: int, *, answerable: bool = True
    ) -> Answer | None:
        """What is answered; with ``answerable`` False, of the passages that do not answer the question."""
        kept = (
            np.ones(len(read.rows), np.bool_) if answerable else ~np.isin(read.rows, read.relevant)
        )
        counts, rows = read.counts[kept], read.rows[kept]
        logits = read.logits[np.repeat(kept, read.counts)]
        spans = best_spans(
            logits, counts, np.float32(weight) * read.scores[kept], longest, LOOKED_AT
        )
        texts = [self._text(int(rows[span.passage]), span.first, span.last) for span in spans]
        found = answers_of(spans, texts)
        return found[0] if found else None

    def _text(self, row: int, first: int, last: int) -> str:
        if row not in self._words:
            content = self._bundle.passages.get([row])[0].content
            own = self._library.texts.encoder.own_spans(content)
            texts = self._library.texts
            self._words[row] = content, [own[place] for place in texts.places[texts.of(row)]]
        content, spans = self._words[row]
        start, end = spans[first][0], spans[last][1]
        if start == end:
            return ""
        # As they are shown.
        start, end = widened(content, start, end)
        return content[start:end] if says_something(content[start:end]) else ""


def calibrate(development: Development, read: list[Read], longest: int) -> Calibration:
    """The weight that answers most questions exactly, the probabilities with it, and when to say nothing.

    ``min_score`` is where as large a share of right answers is let through as of answers to questions whose
    passage was taken away is held back.
    """
    tried = {
        weight: [development.best(one, weight, longest) for one in read] for weight in _WEIGHTS
    }
    exact = {weight: _mean(exact_match, read, found) for weight, found in tried.items()}
    weight = max(exact, key=lambda one: (exact[one], -one))
    given_answers = [
        (one, answer) for one, answer in zip(read, tried[weight], strict=True) if answer
    ]
    odds = np.array([log_odds(answer.logarithm) for _, answer in given_answers])
    right = np.array([exact_match(answer.text, one.answers) for one, answer in given_answers])
    slope, offset = fit_logistic(odds, right)
    scores = np.array([probability(answer.logarithm, slope, offset) for _, answer in given_answers])
    wrong = [development.best(one, weight, longest, answerable=False) for one in read]
    nothing = np.array(
        [probability(answer.logarithm, slope, offset) if answer else 0.0 for answer in wrong]
    )
    grid = np.linspace(0, 1, 101)
    # Where none is right there is nothing to let through.
    given = scores[right > 0] if right.any() else np.ones(1)
    kept = np.array([(given >= limit).mean() for limit in grid])
    held = np.array([(nothing < limit).mean() for limit in grid])
    limit = int(np.abs(kept - held).argmin())
    figures = {
        "EM": exact[weight],
        "F1": _mean(f1, read, tried[weight]),
        "calibration_error": calibration_error(scores, right),
        "right_answers_given": float(kept[limit]),
        "wrong_passages_silent": float(held[limit]),
    }
    rounded = {name: round(value, 4) for name, value in figures.items()}
    least = float(round(grid[limit], 2))
    return Calibration(weight, slope, offset, least, rounded, scores, right)


def fit_logistic(odds: Doubles, right: Doubles) -> tuple[float, float]:
    """Slope and offset with which ``odds`` (n,) are those of being ``right`` (n,), by maximum likelihood."""
    x, prior = np.stack([odds, np.ones_like(odds)], axis=1), np.array([1.0, 0.0])
    # From where it curves most: a step from a slope of 1 runs away where odds are far too sure.
    w = np.zeros(2)
    for _ in range(_STEPS):
        p = np.exp(-np.logaddexp(0, -(x @ w)))
        slope = x.T @ (p - right) + _RIDGE * (w - prior)
        curve = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(2)
        w = w - np.linalg.solve(curve, slope)
    return max(float(w[0]), _RIDGE), float(w[1])


def _mean(measure: Measure, read: list[Read], found: list[Answer | None]) -> float:
    """Of all questions; one without an answer counts 0."""
    pairs = zip(read, found, strict=True)
    return float(np.mean([measure(one.text, of.answers) if one else 0.0 for of, one in pairs]))
