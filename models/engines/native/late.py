"""Late interaction by the native library: the numbers of models.ranker.maxsim_reference, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lurcher.models.engines.native.library import Level, Library, address, level_number

Floats = npt.NDArray[np.float32]

_DONE, _NOT_EXACT = 0, 2


def similarities(
    library: Library, queries: Floats, codes: npt.NDArray[np.uint8], level: Level | None = None
) -> Floats | None:
    """The cosine of each code (n, bits/8) with each query token (L, bits), (n, L) float32.

    None where query tokens are not finite or longer than 1, so that sums would not be exact.
    Raises ValueError for shapes that do not fit.
    """
    out = np.empty((len(codes), len(queries)), np.float32)
    return out if _late(library, queries, codes, None, 0.0, None, out, level) else None


def best_cosines(
    library: Library, queries: Floats, codes: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64],
    nothing: float, level: Level | None = None,
) -> Floats | None:  # fmt: skip
    """The highest cosine of each query token (L, bits) with a code of each passage, (C, L) float32.

    ``counts`` (C,) says how many of the ``codes`` (n, bits/8) each passage has, one after the other; a
    passage without codes has ``nothing``. None and ValueError as for ``similarities``.
    """
    out = np.empty((len(counts), len(queries)), np.float32)
    return out if _late(library, queries, codes, counts, nothing, out, None, level) else None


def _late(
    library: Library, queries: Floats, codes: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64] | None,
    nothing: float, best: Floats | None, each: Floats | None, level: Level | None,
) -> bool:  # fmt: skip
    length, bits = queries.shape
    if codes.ndim != 2 or codes.shape[1] * 8 != bits:
        raise ValueError(f"codes {codes.shape} do not fit query tokens of {bits} bits")
    queries = np.ascontiguousarray(queries, np.float32)
    codes = np.ascontiguousarray(codes, np.uint8)
    counts = None if counts is None else np.ascontiguousarray(counts, np.int64)
    state = library.call(
        "lurcher_late", level_number(library, level), address(queries), length, bits,
        float(np.float32(2 / math.sqrt(bits))), address(codes), len(codes),
        None if counts is None else address(counts), 0 if counts is None else len(counts), nothing,
        None if best is None else address(best), None if each is None else address(each),
    )  # fmt: skip
    if state not in (_DONE, _NOT_EXACT):
        raise ValueError(f"counts do not add up to {len(codes)} codes, or {bits} bits are too many")
    return state == _DONE
