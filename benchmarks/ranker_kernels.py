"""Ways to compute what models.ranker.maxsim's ``similarities`` does, which were slower or lose something.

Each takes query tokens (L, bits) float32 and codes (n, bits / 8) uint8, and gives cosines (n, L).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lurcher.models.engines.native.library import loaded
from lurcher.models.ranker import maxsim_reference
from lurcher.models.ranker.maxsim import similarities
from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import Vectors

Kernel = Callable[[Vectors, Codes], Vectors]

# The eight signs that a byte stands for, (256, 8).
_SIGNS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * np.float32(2) - 1


def one_product(queries: Vectors, codes: Codes) -> Vectors:
    """All codes unpacked, then one matrix product, which OpenBLAS may share out among threads."""
    columns = queries.T * np.float32(2 / math.sqrt(queries.shape[1]))
    found: Vectors = np.unpackbits(codes, axis=1).astype(np.float32) @ columns
    found -= columns.sum(axis=0) / 2
    return found


def look_up(queries: Vectors, codes: Codes) -> Vectors:
    """A table of what each byte at each place adds, made for the query; nothing is unpacked."""
    length, bits = queries.shape
    parts = queries.reshape(length, bits // 8, 8) / np.float32(math.sqrt(bits))
    table = np.ascontiguousarray(np.einsum("lbk,vk->bvl", parts, _SIGNS))  # (bits / 8, 256, L)
    places = np.ascontiguousarray(codes.T)
    found, worth = np.zeros((2, len(codes), length), np.float32)
    for place, values in enumerate(table):
        # Without a mode NumPy would not write straight to ``worth``; a byte is never out of bounds.
        np.take(values, places[place], axis=0, out=worth, mode="clip")
        found += worth
    return found


def popcount(queries: Vectors, codes: Codes) -> Vectors:
    """Differing bits counted; the query tokens are rounded to 1 bit, too, which costs some quality."""
    bits = queries.shape[1]
    word = np.dtype(f"u{math.gcd(bits // 8, 8)}")
    query_codes = np.packbits(queries > 0, axis=1).view(word)  # (L, words)
    stored = np.ascontiguousarray(
        codes.view(word).T
    )  # words first: sums along them are NumPy's slowest
    differ = np.empty((len(query_codes), len(codes)), np.uint16)
    for number, one in enumerate(query_codes):
        ones = np.bitwise_count(stored ^ one[:, None])
        ones.sum(axis=0, dtype=np.uint16, out=differ[number])
    return 1 - np.float32(2 / bits) * differ.T


KERNELS: dict[str, Kernel] = {
    "unpack, sliced product": maxsim_reference.similarities,
    "unpack, one product": one_product,
    "byte look-up tables": look_up,
    "popcount, queries 1 bit": popcount,
}
if loaded() is not None:
    KERNELS = {"native tables (ships)": similarities} | KERNELS
# Whose cosines are not those of the others.
LOSSY = ("popcount, queries 1 bit",)
