"""From spans to answers: spans with the same text are merged, and each gets a calibrated probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.models.reader.spans import Span

# Spans that are merged into answers, unless more answers are requested.
LOOKED_AT = 20
# Probabilities are kept this far from 0 and 1, where their log-odds are infinite.
_SURE = 1e-9


@dataclass(frozen=True, slots=True)
class Answer:
    """The best of the spans with one text; ``logarithm`` is of the sum of their probabilities.

    ``passages`` is how many passages they stand in.
    """

    span: Span
    text: str
    logarithm: float
    passages: int = 1


def answers_of(spans: Sequence[Span], texts: Sequence[str]) -> list[Answer]:
    """The answers in ``spans``, whose texts are ``texts``; the most probable first.

    Spans whose texts differ only in letter case and white space are one answer, in whatever passages they
    stand. Spans without text are dropped.
    """
    alike: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if words := words_of(text):
            alike.setdefault(words, []).append(place)
    found = [
        Answer(
            spans[best := max(places, key=lambda place: spans[place].logarithm)], texts[best],
            float(np.logaddexp.reduce([spans[place].logarithm for place in places])),
            len({spans[place].passage for place in places}),
        )
        for places in alike.values()
    ]  # fmt: skip
    return sorted(found, key=lambda answer: -answer.logarithm)


def words_of(text: str) -> str:
    """What two answers have in common that are one: their words, in whatever case and white space."""
    return " ".join(text.casefold().split())


def log_odds(logarithm: float) -> float:
    """The logarithm of p / (1 - p), from the logarithm of p."""
    p = min(max(math.exp(logarithm), _SURE), 1 - _SURE)
    return math.log(p) - math.log1p(-p)


def probability(logarithm: float, slope: float, offset: float) -> float:
    """The probability that an answer of that ``logarithm`` is right (Platt scaling, 1999)."""
    return logistic(slope * log_odds(logarithm) + offset)


def logistic(logit: float) -> float:
    """The probability, within [0, 1], whose log-odds are ``logit``."""
    # In a form that does not overflow.
    return (1 + math.tanh(logit / 2)) / 2
