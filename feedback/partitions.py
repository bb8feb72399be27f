"""Vectors that come and go, in half precision, found by inner product: a FAISS IVF index that is kept up.

Up to 4,096 vectors, one list holds all and a search is exact. Beyond that they are partitioned once, by
k-means, and a search scans a fifth of the lists, or as many as hold 4,096 vectors. Deleting takes a vector
out of its list, so that nothing is left behind.

On 30,000 questions of SQuAD, another at each search, one takes 1.0 ms and 32 together 15 ms, and .96 of the
16 nearest are found, before and after three quarters were deleted and replaced. A scan of all takes 3.2 and
53 ms, one matrix product 4.9 and 27 ms: memory decides, of which a fifth is read here. HNSW (FAISS, usearch)
is several times faster and finds .97 to .99, but adding takes 6 to 15 times as long, FAISS's cannot delete,
and usearch rounds queries too and brings 57 MB.
"""

from __future__ import annotations

from math import ceil

import faiss
import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.order import best_first, inner_products

SCANNED = 4_096  # vectors that a search compares at least, where there are so many: 0.2 ms a query
_LISTS = 256
_BEYOND = 8  # more than are wanted, as equal products come in any order
_PROBED = 0.2  # share of the lists that a search scans at least; fewer lose neighbours
_ROUNDS, _SAMPLED = 3, 64  # of k-means, and the vectors a list that it looks at


class PartitionedVectors:
    """Vectors by number, found by inner product; for one thread at a time."""

    def __init__(self, dimension: int, scanned: int = SCANNED) -> None:
        """No vectors yet; ``scanned`` are compared by a search at least, where there are so many."""
        self._scanned = scanned
        self._numbered = 0  # numbers are never used again
        self._index = _ivf(np.zeros((1, dimension), np.float32))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: Vectors) -> Rows:
        """The numbers (n,) that ``vectors`` (n, d) get."""
        numbers = np.arange(self._numbered, self._numbered + len(vectors))
        self._numbered += len(vectors)
        self._index.add_with_ids(np.ascontiguousarray(vectors), numbers)
        if self._index.nlist == 1 and len(self) > self._scanned:
            self._partition()
        return numbers

    def _partition(self) -> None:
        """Spread the vectors of the one list over many."""
        lists = self._index.invlists
        numbers = faiss.rev_swig_ptr(lists.get_ids(0), lists.list_size(0)).copy()
        vectors = self.vectors(numbers)
        means = faiss.Kmeans(
            vectors.shape[1], min(_LISTS, len(vectors)), niter=_ROUNDS, spherical=True, seed=0,
            min_points_per_centroid=1, max_points_per_centroid=_SAMPLED,
        )  # fmt: skip
        means.train(vectors)
        self._index = _ivf(means.centroids)
        self._index.add_with_ids(vectors, numbers)

    def remove(self, numbers: Rows) -> None:
        """Delete the vectors with ``numbers`` (n,)."""
        self._index.remove_ids(faiss.IDSelectorArray(np.ascontiguousarray(numbers, np.int64)))

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Inner products and numbers (B, min(k, n)) of the nearest, best first; -inf and -1 for none."""
        k = min(k, len(self))
        if k == 0:
            return np.zeros((len(vectors), 0), np.float32), np.zeros((len(vectors), 0), np.int64)
        lists = self._index.nlist
        share = max(_PROBED, max(self._scanned, k) / len(self))
        self._index.nprobe = min(lists, ceil(share * lists))
        depth = min(k + _BEYOND, len(self))
        _, numbers = self._index.search(np.ascontiguousarray(vectors), depth)
        near = np.full((len(vectors), k), -np.inf, np.float32)
        which = np.full((len(vectors), k), -1, np.int64)
        for place, (vector, found) in enumerate(zip(vectors, numbers, strict=True)):
            there = found[found >= 0]
            # FAISS's products depend in their last bits on what else there is, and votes' weights on them.
            own = inner_products(self.vectors(there), vector)
            best = best_first(own, there, k)
            near[place, : len(best)], which[place, : len(best)] = own[best], there[best]
        return near, which

    def vectors(self, numbers: Rows) -> Vectors:
        """The vectors (n, d) with ``numbers`` (n,), as they are kept, in half precision."""
        found: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(numbers, np.int64))
        return found


def _ivf(centres: Vectors) -> faiss.IndexIVFScalarQuantizer:
    """An index with a list around each of ``centres`` (lists, d) and nothing in it."""
    lists, dimension = centres.shape
    quantizer = faiss.IndexFlatIP(dimension)
    quantizer.add(centres)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer,
        dimension,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.train(centres)  # numbers in half precision need none, but FAISS wants to be told
    index.set_direct_map_type(faiss.DirectMap.Hashtable)
    return index
