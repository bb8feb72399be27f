"""Matrix products that stay with one thread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# OpenBLAS shares a matrix product of more multiplications than this out among threads that wait for each
# other by spinning: 0.4 ms became 12 where another process had one of two cores. Slices of this size stay
# with one thread; on quiet cores they take about a fifth longer.
MULTIPLICATIONS = 1 << 18


def product(a: Vectors, b: Vectors) -> Vectors:
    """``a`` (n, k) times ``b`` (k, m), in slices of ``a``. For threads that work side by side."""
    found = np.empty((len(a), b.shape[1]), np.float32)
    step = max(1, MULTIPLICATIONS // max(1, b.size))
    for start in range(0, len(a), step):
        np.matmul(a[start : start + step], b, out=found[start : start + step])
    return found
