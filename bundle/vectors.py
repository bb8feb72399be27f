"""Passage vectors: one FAISS index, searched by inner product.

The row of a vector is its position in the index and the passage's row in the passages file. Scores
are inner products; of unit-norm vectors that is the cosine. An index that stores codes instead of
floats (SQ8 keeps a byte a dimension) gives the score of the decoded vector.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.chunks import chunks
from lurcher.bundle.coarse_scan import LEAST, MOST_WANTED, CoarseScan
from lurcher.bundle.index_codes import (
    StoredVectors,
    add_vectors,
    allow_reconstruction,
    core_of,
    empty_like,
    reconstructed,
)
from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt
from lurcher.order import best_first, evened, inner_products, slack

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int], None]


class VectorRows(Protocol):
    """Vectors (n, d) float32 that are read a slice of rows at a time: an array, or what an index has."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, rows: slice, /) -> Vectors:
        """Those of a slice with a start and a stop."""


# Up to here an exact scan is as fast as a graph search and loses nothing; above MANY the graph's
# links cost more memory than inverted lists do.
FEW, MANY = 50_000, 2_000_000

# Under a filter that passes at most so many rows, scoring each of them is exact and faster than
# a graph search that has to walk past everything else.
EXACT_ROWS = 10_000

# Under a filter, look so many times deeper than where its k-th row is to be expected; and scan
# instead where the look itself, at about so many rows scored a step, costs as much.
_SPARE = 2
_ROWS_A_STEP = 32

# Look so many rows beyond the k-th: where the score has changed by then, the k best are certain. Where it has
# not, look so many times deeper; few steps, as each is a search.
BEYOND, DEEPER = 8, 8
# So many equal scores, and a graph whose points have 32 links may have lost others of them.
_LINKED = 16


def faiss_reason(error: RuntimeError) -> str:
    """What FAISS complains of, without the place in its source."""
    return re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", str(error).splitlines()[0])


def _check_head(path: Path) -> None:
    """Raise BundleCorrupt where the file at ``path`` is too short for the vectors that its head counts.

    FAISS takes their memory before it reads them. Its layout: four letters, the dimension, the count, and
    what the index is made of, in which a vector has a byte at least, and in a flat index all its numbers.
    """
    try:
        with path.open("rb") as file:
            kind, dimension, count = _HEAD.unpack(file.read(_HEAD.size))
        size = path.stat().st_size
    except (OSError, struct.error) as error:
        raise BundleCorrupt(path.parent, path.name, f"no index: {error}") from error
    least = 4 * dimension if kind in _FLAT else 1
    if not 0 < dimension <= _MOST_DIMENSIONS or not 0 <= count * least <= size:
        reason = f"says that it has {count} vectors of {dimension} numbers, in {size} bytes"
        raise BundleCorrupt(path.parent, path.name, reason)


_HEAD = struct.Struct("<4siq")
_FLAT = {b"IxFI", b"IxF2", b"IxFl"}
_MOST_DIMENSIONS = 65_536


def write_index(index: faiss.Index, path: Path) -> None:
    """Write ``index`` to ``path``. Raises OSError."""
    try:
        # By a file of Python's: FAISS does not notice where a full disk takes no more of its last buffer.
        with path.open("wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))
    except RuntimeError as error:
        raise OSError(faiss_reason(error)) from error


def exact_top(queries: Vectors, vectors: VectorRows, k: int) -> Rows:
    """The rows (B, k) of the ``k`` highest inner products with all of ``vectors`` (n, d)."""
    heap = faiss.ResultHeap(len(queries), k, keep_max=True)
    for rows in chunks(len(vectors)):
        chunk = np.ascontiguousarray(vectors[rows])
        scores, found = faiss.knn(
            queries, chunk, min(k, len(chunk)), metric=faiss.METRIC_INNER_PRODUCT
        )
        heap.add_result(scores, found + rows.start)
    heap.finalize()
    top: Rows = heap.I
    return top


class VectorIndex:
    """A FAISS index with its search effort; safe to call from several threads at once.

    The effort is efSearch for a graph, nprobe for inverted lists, and unused by an exact index.
    """

    def __init__(self, index: faiss.Index, effort: int | None = None) -> None:
        self._index = index
        allow_reconstruction(index)
        self.set_effort(effort)

    @classmethod
    def open(cls, path: Path, effort: int | None) -> VectorIndex:
        """The index in ``path``, memory-mapped where its type allows. Raises BundleCorrupt."""
        _check_head(path)
        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), effort)
        except RuntimeError as error:
            raise BundleCorrupt(path.parent, path.name, faiss_reason(error)) from error

    @classmethod
    def like(cls, other: VectorIndex, vectors: Vectors) -> VectorIndex:
        """An index in memory of ``vectors`` (n, d), stored as ``other`` stores its own, and scanned."""
        index = empty_like(other._index)
        add_vectors(index, np.ascontiguousarray(vectors))
        return cls(
            index, core.nlist if isinstance(core := core_of(index), faiss.IndexIVF) else None
        )

    def write(self, path: Path) -> None:
        """Write the index to ``path``. Raises OSError."""
        write_index(self._index, path)

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._index.d)

    @property
    def lossless(self) -> bool:
        """Whether it stores vectors as they are, and no codes of them."""
        return isinstance(self._index, faiss.IndexFlat | faiss.IndexHNSWFlat | faiss.IndexIVFFlat)

    @property
    def tunable(self) -> bool:
        """Whether the effort changes anything."""
        return isinstance(core_of(self._index), faiss.IndexHNSW | faiss.IndexIVF)

    def set_effort(self, effort: int | None) -> None:
        """Search with this effort from now on; None keeps what FAISS has."""
        core = core_of(self._index)
        if effort is not None and isinstance(core, faiss.IndexHNSW):
            core.hnsw.efSearch = min(effort, max(1, self.count))
        elif effort is not None and isinstance(core, faiss.IndexIVF):
            core.nprobe = min(effort, core.nlist)

    def stored(self) -> VectorRows:
        """The vectors as the index has them: decoded, where it stores codes."""
        return StoredVectors(self._index)

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors (n, d) of ``rows``, as ``stored`` has them."""
        return reconstructed(self._index, rows)

    def emptied(self, *, scanned: bool = False) -> faiss.Index:
        """An empty index that codes vectors exactly as this one does, without its graph if ``scanned``."""
        if scanned:
            return empty_like(self._index)
        index = faiss.clone_index(self._index)
        index.reset()
        return index

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Scores (B, m) float32 and rows (B, m) int64, best first, m = min(k, count); row -1 for none."""
        k = min(k, self.count)
        if not k:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if self._coarse is not None and k * MOST_WANTED <= self.count:
            found = self._coarse.search(queries, k)
            if found is not None:
                return found
        scores, rows = self._index.search(queries, k)
        return scores, rows

    @cached_property
    def _coarse(self) -> CoarseScan | None:
        """What finds the same in less time, if the index is flat and not small."""
        index = self._index
        flat = isinstance(index, faiss.IndexFlatIP) and index.ntotal * index.d >= LEAST
        return CoarseScan(index) if flat else None

    def top(self, queries: Vectors, k: int) -> list[tuple[Vectors, Rows]]:
        """For each of ``queries`` (B, d) scores (m,) and rows (m,) in ``lurcher.order``, m = min(k, count).

        Scores are inner products with the ``stored`` vectors, the same in any batch. Where passages with one
        score begin among the best ``k`` and end beyond, those with the lowest rows are in, however many there
        are: the index is asked for more, and a graph's vectors are scanned (30,000 in bytes take 2.6 ms).
        What lies in lists that are not probed stays unfound, as in any search.
        """
        k = min(k, self.count)
        depth = min(k + BEYOND, self.count)
        found = []
        for query, scores, rows in zip(queries, *self.search(queries, depth), strict=True):
            best = self._best(query, k, rows[rows >= 0])
            index = self._exhaustive()
            # A graph may leave some of many equal vectors without a link that leads to them.
            unsure = index is not self._index and (rows[-1] < 0 or _most_equal(best[0]) >= _LINKED)
            if unsure or (depth < self.count and not _settled(best[0], scores, rows)):
                best = self._deeper(index, query, k, depth * DEEPER, self.count, None)
            found.append(best)
        return found

    def search_among(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        """Scores (m,) and rows (m,), as ``top`` has them, m = min(k, len(allowed)), of ``allowed`` rows only.

        ``query`` is (d,), ``allowed`` ascending. A filter that passes few rows is answered exactly.
        Under one that passes many, the index looks deeper than ``k`` and what passes is kept; where
        that is too little, because what passes lies far from the query, all that passes is scored.
        """
        k = min(k, len(allowed))
        if len(allowed) <= EXACT_ROWS:
            return self._scan(query, k, allowed)
        mask = np.zeros(self.count, bool)
        mask[allowed] = True
        share = len(allowed) / self.count
        depth = math.ceil(_SPARE * k / share)
        if isinstance(self._index, _WIDENED) and depth * _ROWS_A_STEP < len(allowed):
            (scores,), (rows,) = self._index.search(
                query[None], depth, params=self._wider(depth, share)
            )
            passing = (rows >= 0) & mask[rows]
            if passing.sum() >= k:
                best = self._best(query, k, rows[passing])
                if _settled(best[0], scores, rows):
                    return best
        return self._scan_all(query, k, allowed, mask)

    def _wider(self, depth: int, share: float) -> faiss.SearchParameters:
        """The effort to find ``depth`` rows as surely as the index finds those of a plain search."""
        if isinstance(self._index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(efSearch=max(self._index.hnsw.efSearch, depth))
        wide = min(self._index.nlist, math.ceil(self._index.nprobe / share))
        return faiss.SearchParametersIVF(nprobe=wide)

    def _exhaustive(self) -> faiss.Index:
        """What scores every vector, where the index is a graph over them; otherwise the index."""
        if isinstance(self._index, faiss.IndexHNSW):
            return faiss.downcast_index(self._index.storage)
        return self._index

    def _scan_all(
        self, query: Vectors, k: int, allowed: Rows, mask: npt.NDArray[np.bool_]
    ) -> tuple[Vectors, Rows]:
        """What ``_scan`` gives, scored on the codes where FAISS can: many times faster."""
        index = self._exhaustive()
        selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if isinstance(index, faiss.IndexIVF):
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
        elif isinstance(index, faiss.IndexFlat | faiss.IndexScalarQuantizer):
            parameters = faiss.SearchParameters(sel=selector)
        else:
            return self._scan(query, k, allowed)
        return self._deeper(index, query, k, k + BEYOND, len(allowed), parameters)

    def _deeper(
        self, index: faiss.Index, query: Vectors, k: int, depth: int, most: int,
        parameters: faiss.SearchParameters | None,
    ) -> tuple[Vectors, Rows]:  # fmt: skip
        """The best ``k`` that ``index`` finds at ``depth``; deeper, up to ``most``, if that is too little."""
        while True:
            depth = min(depth, most)
            (scores,), (rows,) = index.search(query[None], depth, params=parameters)
            best = self._best(query, k, rows[rows >= 0])
            if depth == most or _settled(best[0], scores, rows):
                return best
            depth *= DEEPER

    def _scan(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        return self._best(query, k, self.nearest(query, k, allowed))

    def nearest(self, query: Vectors, k: int, allowed: Rows) -> Rows:
        """Those of the rows ``allowed`` (n,) that may be the best ``k``, all of which were scored."""
        if k < len(allowed):
            reconstruct = self._index.reconstruct_batch  # fast; `_best` scores again what may be in
            parts = [reconstruct(allowed[part]) @ query for part in chunks(len(allowed))]
            products = np.concatenate(parts)
            kth = np.partition(products, len(products) - k)[len(products) - k]
            allowed = allowed[products >= kth - slack(kth)]
        return allowed

    def scan(self, query: Vectors, depth: int) -> tuple[Vectors, Rows]:
        """What ``search`` gives, (m,), for one query (d,), with a graph's vectors scanned."""
        (scores,), (rows,) = self._exhaustive().search(query[None], min(depth, self.count))
        return scores, rows

    def decides(self, best: Vectors, k: int, scores: Vectors, rows: Rows, *, scanned: bool) -> bool:
        """Whether nothing here that was not found can be one of the ``k`` whose scores are ``best`` (m,).

        ``scores`` and ``rows`` (n,) are what ``search`` gave, or ``scan``.
        """
        graph = not scanned and isinstance(self._index, faiss.IndexHNSW)
        # A graph may leave some of many equal vectors without a link that leads to them.
        if graph and (rows[-1] < 0 or _most_equal(best) >= _LINKED):
            return False
        if len(rows) == self.count or rows[-1] < 0:
            return True
        return not k or (len(best) == k and _settled(best, scores, rows))

    def _best(self, query: Vectors, k: int, rows: Rows) -> tuple[Vectors, Rows]:
        """Scores and rows (m,) of the best ``k`` of ``rows`` (n,), in ``lurcher.order``."""
        scores = evened(inner_products(self.vectors(rows), query))
        best = best_first(scores, rows, k)
        return scores[best], rows[best]


def _settled(best: Vectors, scores: Vectors, rows: Rows) -> bool:
    """Whether no row that was not found can be one of the ``best`` (m,), scores in descending order.

    The index gave ``rows`` (n,) with ``scores`` (n,), best first, and -1 where there are no more.
    """
    return bool(rows[-1] < 0 or scores[-1] < best[-1] - slack(best[-1]))


def _most_equal(scores: Vectors) -> int:
    """How many of ``scores`` (n,) are the same, at most."""
    return int(np.unique(scores, return_counts=True)[1].max(initial=0))


# What a search can be told to look wider in; wrapped ones are scanned under a broad filter.
_WIDENED = (faiss.IndexHNSW, faiss.IndexIVF)
