"""Vectors that come and go: a graph that finds the nearest, and is renewed a little at a time.

HNSW cannot forget a vector. One that is taken out stays as a way to others, and is not found any more.
When such ones are the most, a new graph is begun. It grows by a few vectors with every call, and takes
the old one's place once it has all that are left, so that no call waits for it.
"""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors

# Links of a vector in the graph, and how many are followed: at 100,000 vectors every query still finds
# its own.
_LINKS, _EFFORT = 16, 64
_FEW = 64  # vectors taken out that never matter
_MOVED = 4  # vectors that a call puts into the new graph: 0.2 ms


class Graph:
    """Vectors by number, found by inner product; for one thread at a time."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._given = 0  # numbers, which are never used again
        self._now = _Layer(dimension)
        self._next: _Layer | None = None
        self._moved = 0  # places of the layer now whose vectors the next one has

    def __len__(self) -> int:
        """How many vectors can be found."""
        return int(self._now.left.sum())

    def add(self, vectors: Vectors) -> Rows:
        """The numbers (n,) that ``vectors`` (n, d) get."""
        numbers = np.arange(self._given, self._given + len(vectors))
        self._given += len(vectors)
        self._now.add(numbers, vectors)
        self._renew(len(vectors) + _MOVED)
        return numbers

    def remove(self, numbers: Rows) -> None:
        """Find ``numbers`` (n,) no more."""
        for layer in (self._now, self._next):
            if layer is not None:
                layer.remove(numbers)
        if self._next is None and len(self._now.left) - len(self) > max(_FEW, len(self)):
            self._next, self._moved = _Layer(self._dimension), 0
        # Faster than they go, so that those left are not looked for among ever more that are not.
        self._renew(len(numbers) + _MOVED)

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Inner products and numbers (B, m) of the nearest ``k`` or all; -inf and -1 for none."""
        self._renew(_MOVED)
        return self._now.search(vectors, k)

    def vectors(self, numbers: Rows) -> Vectors:
        """The vectors (n, d) with ``numbers`` (n,), as the graph keeps them, in half precision."""
        return self._now.vectors(numbers)

    def _renew(self, count: int) -> None:
        """Put ``count`` more vectors into the next layer, if there is one, and put it up if it has all."""
        if self._next is None:
            return
        waiting = self._moved + np.flatnonzero(self._now.left[self._moved :])
        if len(waiting) > count:
            self._moved = int(waiting[count])
        else:
            self._moved = len(self._now.left)
        numbers = self._now.numbers[waiting[:count]]
        self._next.add(numbers, self._now.vectors(numbers))
        if self._moved == len(self._now.left):
            self._now, self._next = self._next, None


class _Layer:
    """One HNSW graph: at each place a vector's number, ascending, and whether it can be found."""

    def __init__(self, dimension: int) -> None:
        self._index = faiss.IndexHNSWSQ(
            dimension, faiss.ScalarQuantizer.QT_fp16, _LINKS, faiss.METRIC_INNER_PRODUCT
        )
        self.numbers = np.zeros(0, np.int64)
        self.left: npt.NDArray[np.bool_] = np.zeros(0, bool)

    def add(self, numbers: Rows, vectors: Vectors) -> None:
        if len(numbers):
            self._index.add(np.ascontiguousarray(vectors))
            self.numbers = np.concatenate([self.numbers, numbers])
            self.left = np.concatenate([self.left, np.ones(len(numbers), bool)])

    def remove(self, numbers: Rows) -> None:
        """Find ``numbers`` no more, as far as they are here."""
        places = np.searchsorted(self.numbers, numbers)
        here = places < len(self.numbers)
        here[here] = self.numbers[places[here]] == numbers[here]
        self.left[places[here]] = False

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        size, left = len(self.left), int(self.left.sum())
        k = min(k, left)
        products = np.full((len(vectors), k), -np.inf, np.float32)
        places = np.full((len(vectors), k), -1, np.int64)
        if k == 0:
            return products, places
        params = faiss.SearchParametersHNSW()
        if left < size:
            # One bit a place; the objects keep one another alive.
            params.sel = faiss.IDSelectorBitmap(np.packbits(self.left, bitorder="little"))
        # As many that can be found are looked at as if there were no others. Where that gives too few, as
        # most around a query were taken out, it is asked again.
        effort = _EFFORT * size // left
        short = np.arange(len(vectors))
        while len(short):
            params.efSearch = effort
            products[short], places[short] = self._index.search(vectors[short], k, params=params)
            short = short[(places[short] < 0).any(axis=1)]
            if effort >= size:
                break
            effort *= 4
        none = places < 0
        products[none] = -np.inf
        return products, np.where(none, -1, self.numbers[places])

    def vectors(self, numbers: Rows) -> Vectors:
        places = np.searchsorted(self.numbers, numbers)
        found: Vectors = self._index.reconstruct_batch(places)
        return found
