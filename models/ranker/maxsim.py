"""Late interaction (Khattab & Zaharia 2020, ColBERT) over packed 1-bit tokens.

::

    score(q, p) = sum_i w_i max_j <q_i, b_j> / sqrt(bits)      q_i unit-norm, b_j in {-1, +1}^bits

Each query token counts its weight times its highest cosine with a passage token; with weights that sum to 1
the score lies between -1 and 1.

What a passage scores must not depend on what is scored beside it, not even in its last bit, or equal
passages would not stay in the order of the corpus. A matrix product adds up in an order that depends on its
shape. So queries are rounded to multiples of 2^-22: then no sum of theirs needs more bits than a float has,
and each is exact in whatever order.
"""

from __future__ import annotations

import numpy as np

from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import MULTIPLICATIONS, Vectors

# The cosine for a passage without tokens: the worst there is.
NOTHING = -1.0
_GRID = np.float32(2**22)


def similarities(queries: Vectors, codes: Codes) -> Vectors:
    """The cosine of each code (n, bits/8) with each query token (L, bits), (n, L) float32."""
    length, bits = queries.shape
    # Of bits 0 and 1 instead of signs: <q, 2 b - 1> = <2 q, b> - sum q. A query has norm 1, so that no sum
    # of some of these numbers is beyond 2: with multiples of 2^-22, all sums have 23 bits.
    columns = np.rint(queries.T * np.float32(2 / np.sqrt(bits)) * _GRID) / _GRID
    columns = np.ascontiguousarray(columns, np.float32)
    found = np.empty((len(codes), length), np.float32)
    step = max(1, MULTIPLICATIONS // max(1, length * bits))
    for start in range(0, len(codes), step):
        ones = np.unpackbits(codes[start : start + step], axis=1).astype(np.float32)
        np.matmul(ones, columns, out=found[start : start + step])
    found -= columns.sum(axis=0) / 2
    return found


def best_met(found: Vectors, counts: Integers) -> Vectors:
    """The highest similarity of each query token in each passage, (C, L), from similarities (n, L).

    ``counts`` (C,) says how many codes each passage has, one after the other. A passage without codes
    has ``NOTHING``.
    """
    best = np.full((len(counts), found.shape[1]), NOTHING, np.float32)
    some = counts > 0
    if some.any():
        starts = np.cumsum(counts) - counts
        best[some] = np.maximum.reduceat(found, starts[some], axis=0)
    return best


def maxsim(queries: Vectors, weights: Vectors, codes: Codes, counts: Integers) -> Vectors:
    """The score (C,) of each passage for query tokens (L, bits) of ``weights`` (L,)."""
    best = best_met(similarities(queries, codes), counts)
    scores: Vectors = np.einsum("cl,l->c", best, weights)
    return scores


# The weight of MaxSim against the inner product of the vectors, chosen beside the lexical score on
# development queries of seven sets (docs/lexical.md). .75 is as good on long texts, worse on short ones.
LATE_WEIGHT = 0.7


def blend(dense: Vectors, late: Vectors) -> Vectors:
    """Scores (C,) of passages from their inner products ``dense`` and MaxSim scores ``late``.

    Both are cosines and spread alike, so no normalisation over the candidates is needed: what a passage
    scores does not depend on the others.
    """
    return dense + np.float32(LATE_WEIGHT) * (late - dense)
