"""Whether a difference between two systems on the same queries may be chance.

The test is the paired randomisation test (Fisher 1935; for retrieval: Smucker, Allan and Carterette 2007,
"A Comparison of Statistical Significance Tests for Information Retrieval Evaluation"): if the systems were
alike, each query's difference could as well have the other sign. Unlike a t-test it assumes no distribution.
Of several tests at once, Holm (1979, "A Simple Sequentially Rejective Multiple Test Procedure") bounds the
chance of even one false alarm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_RESAMPLES = 10_000
# Up to so many differences that are not 0, all signs are tried: no more than there would be resamples.
_EXACT = 13
_AT_ONCE = 500


def randomisation_p(differences: npt.NDArray[np.float64], seed: int = 0) -> float:
    """The two-sided p-value of the mean of ``differences`` (n,), one for each query.

    Exact for up to 13 queries that differ, from 10,000 random signs for more: then at least 1/10,001.
    """
    different = differences[differences != 0]  # a 0 has no sign that could change
    n = len(different)
    if not n:
        return 1.0
    # As large, but for the last bits of a sum in another order.
    limit = abs(different.sum()) - 1e-9 * np.abs(different).sum()
    if n <= _EXACT:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1  # (2^n, n)
        return float((np.abs((2 * bits - 1) @ different) >= limit).mean())
    generator, as_large = np.random.default_rng(seed), 0
    for _ in range(_RESAMPLES // _AT_ONCE):
        signs = 2.0 * generator.integers(0, 2, (_AT_ONCE, n)) - 1
        as_large += int((np.abs(signs @ different) >= limit).sum())
    return (as_large + 1) / (_RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """``p_values`` corrected for their number, in the order given: compare each with the level itself."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for done, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = largest
    return corrected
