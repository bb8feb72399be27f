"""Exact search of flat vectors that reads a byte a dimension, a quarter of the memory.

::

    x_j = s_j c_j nearly        c in [-127, 127]^d of each vector, s of the index
    q_j s_j = t r_j nearly      r in [-127, 127]^d, t of the query
    |q x - t r c| <= |q| |x - s c| + |q s - t r| |c|

What lies below the k-th best by more than this bound, with the largest |x - s c| and |c| of the index, cannot
be among the k best. What lies above is scored exactly, so nothing is lost. Where equal or crowded scores
would make that too many, nothing is found, and the index itself has to be searched.
"""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.chunks import chunks
from lurcher.bundle.index_codes import reconstructed
from lurcher.bundle.passages import Rows
from lurcher.order import best_first, inner_products

Vectors = npt.NDArray[np.float32]

# Fewer numbers than these are scanned as they are in a tenth of a millisecond.
LEAST = 1 << 20
# Where more than one vector in so many is wanted, a longer list of candidates takes the time that it saves.
MOST_WANTED = 80

_LARGEST = 127.0  # of a byte
# As many candidates as this times k and more are looked at.
_DEEPER, _MORE = 2, 128
# What float32 loses in the sum of a product.
_ROUNDING = 1e-5


class CoarseScan:
    """The rounded vectors of a flat index; safe to call from several threads at once."""

    def __init__(self, index: faiss.IndexFlat) -> None:
        """Round the vectors of ``index``: as many bytes of memory as they have numbers."""
        self._index, count = index, index.ntotal
        largest = np.zeros(index.d, np.float32)
        for part in chunks(count):
            np.maximum(largest, np.abs(self._exact(part)).max(axis=0), out=largest)
        self._steps = np.where(largest > 0, largest / _LARGEST, 1.0).astype(np.float32)  # (d,)
        self._codes = faiss.IndexScalarQuantizer(
            index.d, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
        )
        self._error, self._longest = 0.0, 0.0
        for part in chunks(count):
            exact = self._exact(part)
            rounded = np.rint(exact / self._steps)
            self._codes.add(rounded)
            errors = np.linalg.norm(exact - rounded * self._steps, axis=1)
            self._error = max(self._error, float(errors.max(initial=0.0)))
            lengths = np.linalg.norm(rounded, axis=1)
            self._longest = max(self._longest, float(lengths.max(initial=0.0)))

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows] | None:
        """The ``k`` best scores and rows (B, k) for ``queries`` (B, d), best first, as the index gives them.

        None where a query would need too many candidates, or has a number that is not finite.
        """
        depth = _DEEPER * k + _MORE
        scaled = queries * self._steps
        largest = np.abs(scaled).max(axis=1, initial=0.0)
        if depth >= self._codes.ntotal or not np.isfinite(largest).all() or not largest.all():
            return None
        units = largest / np.float32(_LARGEST)  # (B,), t
        # Integers: FAISS multiplies bytes, and would cut queries to them.
        whole = np.rint(scaled / units[:, None])
        lost = np.linalg.norm(scaled - whole * units[:, None], axis=1) * self._longest
        bounds = np.linalg.norm(queries, axis=1) * (self._error + _ROUNDING) + lost
        near, found = self._codes.search(whole, depth)
        scores = np.empty((len(queries), k), np.float32)
        rows = np.empty((len(queries), k), np.int64)
        for place, query in enumerate(queries):
            products = near[place] * units[place]
            best = self._score(query, found[place, :k])
            # The k-th best of all has at least this, so no score below it by the bound can be better.
            least = float(best.min()) - float(bounds[place])
            if products[-1] >= least:
                return None
            candidates = found[place, : int(np.searchsorted(-products, -least, "right"))]
            exact = np.concatenate([best, self._score(query, candidates[k:])])
            order = best_first(exact, candidates, k)
            scores[place], rows[place] = exact[order], candidates[order]
        return scores, rows

    def _score(self, query: Vectors, rows: Rows) -> Vectors:
        return inner_products(reconstructed(self._index, rows), query)

    def _exact(self, part: slice) -> Vectors:
        return reconstructed(self._index, np.arange(part.start, part.stop))
