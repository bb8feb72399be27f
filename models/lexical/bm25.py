"""BM25 on arrays: the score of a passage for a query's terms (Robertson & Zaragoza 2009).

::

    score(q, d) = sum over terms t of q of  share(t) * saturation(t, d)
    share       = idf / (sum of the query terms' idf)
    idf         = ln(1 + (N - df + 0.5) / (df + 0.5))          N passages, df of them with the term
    saturation  = tf / (tf + k1 * (1 - b + b * length / average length))

The formula is Lucene's, which leaves out the constant factor k1 + 1 and keeps every idf above 0. Divided by
the sum of idf, a score is below 1 and depends on no other passage. ``tf`` counts a term in the heading
``TITLE_WEIGHT`` times; so does the length.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Steps = npt.NDArray[np.uint8]

K1, B, TITLE_WEIGHT = 1.2, 0.75, 1.5
# A saturation is stored as a multiple of 1 / 256, at least one of them and at most 255.
STEPS = 256


def inverse_frequency(frequency: Counts, passages: int) -> Doubles:
    """The idf (t,) of terms that ``frequency`` (t,) of so many ``passages`` have, above 0."""
    idf: Doubles = np.log1p((passages - frequency + 0.5) / (frequency + 0.5))
    return idf


def length_norms(lengths: Floats, average: float, k1: float, b: float) -> Floats:
    """What stands beside ``tf`` in the saturation, (n,), for passages of ``lengths`` (n,)."""
    norms: Floats = (k1 * (1 - b + b * lengths / (average or 1.0))).astype(np.float32)
    return norms


def saturation_steps(tf: Floats, norms: Floats) -> Steps:
    """The saturation (n,) of each ``tf`` (n,) above 0 beside its passage's norm (n,), in steps of 1 / 256."""
    steps: Steps = np.rint(tf / (tf + norms) * STEPS).clip(1, STEPS - 1).astype(np.uint8)
    return steps


def first_within(sizes: Counts, limit: int) -> int:
    """How many of the first ``sizes`` (t,) together stay within ``limit``; at least one, if there is one."""
    return max(min(1, len(sizes)), int(np.searchsorted(np.cumsum(sizes), limit, side="right")))
