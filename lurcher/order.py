"""The one order of what is found: by score, the highest first, and of equal scores by row, the lowest first.

Rows are the order of the corpus. Passages of one text must have one score, or chance would order them, and a
sum of floats depends on how it is added up: by what stands beside it in a matrix product, by a vector unit's
remainder, by how many are asked for. So whatever orders passages gets scores that depend on nothing else
(``inner_products``, and ``lurcher.models.ranker.maxsim``), and takes what differs by less than ``EQUAL`` as
equal (``evened``), as vectors of one text that were computed in different company do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

# Ten times what float32 loses in a score near 1, and a hundredth of what the codes of an index lose.
EQUAL = 5e-7
_LEVELS, _TINY = 1_000, 1e-30
# Of sums near 1 that were added up in another order.
_ROUNDING = 4e-6


def inner_products(vectors: Floats, vector: Floats) -> Floats:
    """The inner product (n,) of each of ``vectors`` (n, d) with ``vector`` (d,).

    Each is summed alone and in one order, unlike those of a matrix product: equal vectors get equal numbers,
    to the last bit, wherever they stand and whatever stands beside them.
    """
    products: Floats = np.einsum("ij,j->i", vectors, vector)
    return products


def best_first(scores: Floats, rows: Integers, k: int | None = None) -> Integers:
    """The places of the best ``k``, None for all: by ``scores`` (n,), descending, then by ``rows`` (n,)."""
    places: Integers = np.lexsort((rows, -scores))[:k]
    return places


def first_places(scores: Floats, k: int) -> Integers:
    """The places of the best ``k`` of ``scores`` (n,) from 0 on, of equal ones the first, best first.

    It takes time linear in n, however many are equal: of a thousand levels those that hold the best are found
    by counting, and only what lies there is compared.
    """
    places: Integers = np.arange(len(scores))
    if k < len(scores):
        levels = (scores * (_LEVELS / max(float(scores.max()), _TINY))).astype(np.int64)
        above = np.cumsum(np.bincount(levels)[::-1])[::-1]  # how many lie in each level or above
        places = np.flatnonzero(levels >= np.searchsorted(-above, -k, side="right") - 1)
        scores = scores[places]
    if k < len(scores):
        edge = np.partition(scores, len(scores) - k)[len(scores) - k] if k else np.inf
        within = np.flatnonzero(scores > edge)
        within = np.concatenate([within, np.flatnonzero(scores == edge)[: k - len(within)]])
        places, scores = places[within], scores[within]
    return places[best_first(scores, places)]


def evened(scores: Floats) -> Floats:
    """``scores`` (n,) where all that lie within ``EQUAL`` below another are as high as the highest such."""
    if len(scores) < 2:
        return scores
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    apart = descending[:-1] - descending[1:]
    near = apart <= EQUAL
    if not (near & (apart > 0)).any():
        return scores
    # Runs of neighbours that are near each other, each cut into groups: one begins at its highest, and what
    # lies within EQUAL of that is in it. Beyond a run nothing is.
    edges = np.flatnonzero(np.diff(near, prepend=False, append=False))
    for start, last in edges.reshape(-1, 2).tolist():
        while start <= last:
            rest = descending[start : last + 1]
            count = int(np.searchsorted(-rest, EQUAL - rest[0], "right"))
            rest[:count] = rest[0]
            start += count
    equal = np.empty_like(scores)
    equal[order] = descending
    return equal


def slack(score: np.floating) -> float:
    """How far an index's ``score`` may be from ours, which adds up in another order."""
    return _ROUNDING * max(1.0, abs(float(score)))
