"""Matrix products that run on the calling thread alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# OpenBLAS splits a matrix product of more multiplications than this among threads that wait for each other
# by spinning: 0.4 ms became 12 when another process used one of two cores. Slices of this size run on one
# thread; on idle cores they take about a fifth longer.
MULTIPLICATIONS = 1 << 18


def product(a: Vectors, b: Vectors) -> Vectors:
    """``a`` (n, k) times ``b`` (k, m), in slices of ``a``; for code that runs in several threads."""
    found = np.empty((len(a), b.shape[1]), np.float32)
    step = max(1, MULTIPLICATIONS // max(1, b.size))
    for start in range(0, len(a), step):
        np.matmul(a[start : start + step], b, out=found[start : start + step])
    return found
