"""Cosines of query tokens and packed 1-bit codes in NumPy, where there is no native library.

A matrix product adds up in an order that depends on its shape. So queries are rounded to multiples of 2^-22:
then no sum of theirs needs more bits than a float has, and each is exact in whatever order.
"""

from __future__ import annotations

import numpy as np

from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import MULTIPLICATIONS, Vectors

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
