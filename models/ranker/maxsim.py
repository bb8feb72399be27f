"""Late interaction (Khattab & Zaharia 2020, ColBERT) over packed 1-bit tokens.

::

    score(q, p) = sum_i w_i max_j <q_i, b_j> / sqrt(bits)      q_i unit-norm, b_j in {-1, +1}^bits

Each query token counts its weight times its highest cosine with a passage token; with weights that sum to 1
the score lies between -1 and 1.

What a passage scores must not depend on what is scored beside it, not even in its last bit, or equal
passages would not stay in the order of the corpus. So queries are rounded to multiples of 2^-22, and sums are
exact: the native library and NumPy (maxsim_reference) give the same bits.
"""

from __future__ import annotations

import numpy as np

from lurcher.models.engines.native import late
from lurcher.models.engines.native.library import loaded
from lurcher.models.ranker import maxsim_reference
from lurcher.models.ranker.presets import PRESETS
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import Vectors

# The cosine for a passage without tokens: the worst there is.
NOTHING = -1.0


def similarities(queries: Vectors, codes: Codes) -> Vectors:
    """The cosine of each code (n, bits/8) with each query token (L, bits), (n, L) float32."""
    library = loaded()
    found = None if library is None else late.similarities(library, queries, codes)
    return maxsim_reference.similarities(queries, codes) if found is None else found


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


def best_cosines(queries: Vectors, codes: Codes, counts: Integers) -> Vectors:
    """The highest cosine of each query token (L, bits) with a code of each passage, (C, L)."""
    library = loaded()
    found = None if library is None else late.best_cosines(library, queries, codes, counts, NOTHING)
    return (
        best_met(maxsim_reference.similarities(queries, codes), counts) if found is None else found
    )


def maxsim(queries: Vectors, weights: Vectors, codes: Codes, counts: Integers) -> Vectors:
    """The score (C,) of each passage for query tokens (L, bits) of ``weights`` (L,)."""
    best = best_cosines(queries, codes, counts)
    scores: Vectors = np.einsum("cl,l->c", best, weights)
    return scores


# What MaxSim weighs against the inner product of the vectors where a bundle says nothing else.
LATE_WEIGHT = PRESETS["prose"].late


def blend(dense: Vectors, late: Vectors, weight: float = LATE_WEIGHT) -> Vectors:
    """Scores (C,) of passages from their inner products ``dense`` and MaxSim scores ``late``.

    ``weight`` is that of ``late``, 0 to 1.

    Both are cosines and spread alike, so no normalisation over the candidates is needed: what a passage
    scores does not depend on the others.
    """
    return dense + np.float32(weight) * (late - dense)
