"""Spans from the logits of where answers start and end, over all passages at once.

A span from token i to token j of passage p has the logit ``start[p, i] + end[p, j] + bonus[p]``; the
logit of no answer is 0. One softmax runs over all of them (shared normalisation: Clark & Gardner
2018, "Simple and Effective Multi-Paragraph Reading Comprehension", section 3.2), so passages compete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

# The logit of a passage without tokens: about that of the worst passages there are.
NOTHING = -30.0


@dataclass(frozen=True, slots=True)
class Span:
    """One answer; ``first`` and ``last`` are tokens of the passage, both part of it."""

    passage: int  # of those that were read
    first: int
    last: int
    logarithm: float  # of its probability under the softmax


def best_spans(
    logits: Vectors, counts: Integers, bonus: Vectors, longest: int, most: int
) -> list[Span]:
    """Up to ``most`` spans of at most ``longest`` tokens, best first, none overlapping a better one.

    ``logits`` (n, 2) are of starts and ends, passage after passage; ``counts`` (C,) says how many tokens
    each has, and ``bonus`` (C,) is added to the logits of its spans.
    """
    total = len(logits)
    if not total:
        return []
    passage = np.repeat(np.arange(len(counts)), counts)
    scores = _span_logits(logits, passage, min(longest, int(counts.max())))
    scores += bonus[passage]
    top = max(0.0, float(scores.max()))
    whole = top + np.log(np.exp(-top) + np.exp(scores - top, dtype=np.float64).sum())
    offsets = np.cumsum(counts) - counts
    lengths = np.arange(len(scores))[:, None]
    spans: list[Span] = []
    while len(spans) < most:
        more, first = divmod(int(scores.argmax()), total)
        if not np.isfinite(scores[more, first]):
            break
        own = int(passage[first])
        start = int(first - offsets[own])
        spans.append(Span(own, start, start + more, float(scores[more, first] - whole)))
        places = np.arange(total)
        overlap = (passage == own) & (places <= first + more) & (places + lengths >= first)
        scores[overlap] = -np.inf
    return spans


def best_logits(logits: Vectors, counts: Integers, longest: int) -> Vectors:
    """The logit (C,) of the best span of each passage, ``NOTHING`` for one without tokens.

    ``logits`` (n, 2), ``counts`` (C,) and ``longest`` are as in ``best_spans``.
    """
    found = np.full(len(counts), NOTHING, np.float32)
    some = counts > 0
    if some.any():
        passage = np.repeat(np.arange(len(counts)), counts)
        scores = _span_logits(logits, passage, min(longest, int(counts.max()))).max(axis=0)
        starts = np.cumsum(counts) - counts
        found[some] = np.maximum.reduceat(scores, starts[some])
    return found


def _span_logits(logits: Vectors, passage: Integers, longest: int) -> Vectors:
    """The logit at [k, i] (longest, n) of the span of k + 1 tokens that starts at token i.

    ``passage`` (n,) is the passage of each token; a span over two passages has minus infinity.
    """
    total = len(logits)
    scores = np.full((longest, total), -np.inf, np.float32)
    for more in range(longest):
        inside = passage[: total - more] == passage[more:]
        found = logits[: total - more, 0] + logits[more:, 1]
        scores[more, : total - more] = np.where(inside, found, -np.inf)
    return scores
