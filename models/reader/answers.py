"""From spans to answers: those that say the same are one, and how probable it is that one is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.models.reader.spans import Span

# Spans that are looked at for answers that say the same, unless more answers are asked for.
LOOKED_AT = 20
# Nearer to 0 or 1 than this no probability is known.
_SURE = 1e-9


@dataclass(frozen=True, slots=True)
class Answer:
    """What the best of some spans says; ``logarithm`` is of the probability of all that say so."""

    span: Span
    text: str
    logarithm: float


def answers_of(spans: Sequence[Span], texts: Sequence[str]) -> list[Answer]:
    """The answers that ``spans`` give, whose words are ``texts``; the most probable first.

    Spans say the same whose words differ in letter case and blanks alone; they vote together, wherever they
    stand. One without words says nothing.
    """
    alike: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if said := " ".join(text.casefold().split()):
            alike.setdefault(said, []).append(place)
    found = [
        Answer(
            spans[best := max(places, key=lambda place: spans[place].logarithm)], texts[best],
            float(np.logaddexp.reduce([spans[place].logarithm for place in places])),
        )
        for places in alike.values()
    ]  # fmt: skip
    return sorted(found, key=lambda answer: -answer.logarithm)


def log_odds(logarithm: float) -> float:
    """The logarithm of p / (1 - p), of the logarithm of p."""
    p = min(max(math.exp(logarithm), _SURE), 1 - _SURE)
    return math.log(p) - math.log1p(-p)


def probability(logarithm: float, slope: float, offset: float) -> float:
    """How probable it is that an answer of that ``logarithm`` is right (Platt 1999, with two numbers)."""
    # The logistic function in a form that does not overflow.
    return (1 + math.tanh((slope * log_odds(logarithm) + offset) / 2)) / 2
