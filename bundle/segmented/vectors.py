"""The vectors of several segments, searched as one index; those of deleted passages are in no result.

Each segment is searched for itself, and what they find is scored again and put into one order. So the hits
are those of one index of all vectors: exactly where the segments are scanned, and where one has a graph or
lists, with that segment's recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.vectors import (
    BEYOND,
    DEEPER,
    EXACT_ROWS,
    VectorIndex,
    VectorRows,
    Vectors,
)
from lurcher.order import best_first, evened, inner_products, slack


class VectorStore(Protocol):
    """What is read of passages' vectors. ``VectorIndex`` says what each method gives."""

    @property
    def count(self) -> int:
        """How many rows there are, those of deleted passages included."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def tunable(self) -> bool:
        """Whether the effort changes anything."""

    def set_effort(self, effort: int | None) -> None:
        """Search with this effort from now on; None keeps what there is."""

    def stored(self) -> VectorRows:
        """The vectors as they are stored: decoded, where those are codes."""

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors (n, d) of ``rows``, as ``stored`` has them."""

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Scores (B, m) float32 and rows (B, m) int64, best first, m = min(k, count); row -1 for none."""

    def top(self, queries: Vectors, k: int) -> list[tuple[Vectors, Rows]]:
        """For each of ``queries`` (B, d) scores (m,) and rows (m,) in ``lurcher.order``, m at most k."""

    def search_among(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        """Scores (m,) and rows (m,), as ``top`` has them, of ``allowed`` (n,) only, m = min(k, n)."""


_NO_ROWS, _NO_SCORES = np.zeros(0, np.int64), np.zeros(0, np.float32)


@dataclass(slots=True)
class _Found:
    """What a segment has found so far, by its own rows; and whether every vector was looked at for that."""

    segment: int
    scores: Vectors
    rows: Rows
    scanned: bool = False


class SegmentedVectors:
    """The vectors of a snapshot's segments; safe to share between threads."""

    def __init__(self, space: RowSpace, parts: Sequence[VectorIndex]) -> None:
        self._space, self._parts = space, tuple(parts)
        # The first row and the index of each segment that has any.
        self._some = [number for number, part in enumerate(self._parts) if part.count]

    @property
    def count(self) -> int:
        """As ``VectorStore.count``."""
        return self._space.count

    @property
    def dimension(self) -> int:
        """As ``VectorStore.dimension``."""
        return self._parts[0].dimension

    @property
    def tunable(self) -> bool:
        """As ``VectorStore.tunable``."""
        return any(part.tunable for part in self._parts)

    def set_effort(self, effort: int | None) -> None:
        """As ``VectorStore.set_effort``."""
        for part in self._parts:
            part.set_effort(effort)

    def stored(self) -> VectorRows:
        """As ``VectorStore.stored``; those of deleted passages are zeros, which no query comes near to."""
        return _Stored(self, self._space)

    def vectors(self, rows: Rows) -> Vectors:
        """As ``VectorStore.vectors``."""
        split = list(self._space.split(rows))
        if len(split) == 1:
            segment, _, local = split[0]
            return self._parts[segment].vectors(local)
        vectors = np.empty((len(rows), self.dimension), np.float32)
        for segment, places, local in split:
            vectors[places] = self._parts[segment].vectors(local)
        return vectors

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, Rows]:
        """As ``VectorStore.search``."""
        width = min(k, self.count)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        rows = np.full((len(queries), width), -1, np.int64)
        for place, (best, found) in enumerate(self.top(queries, k)):
            scores[place, : len(best)], rows[place, : len(found)] = best, found
        return scores, rows

    def top(self, queries: Vectors, k: int) -> list[tuple[Vectors, Rows]]:
        """As ``VectorStore.top``."""
        k = min(k, self._space.passages)
        found = [self._parts[number].search(queries, k + BEYOND) for number in self._some]
        return [
            self._merged(
                query, k,
                [
                    _Found(number, scores[i], rows[i])
                    for number, (scores, rows) in zip(self._some, found, strict=True)
                ],
            )
            for i, query in enumerate(queries)
        ]  # fmt: skip

    def _merged(self, query: Vectors, k: int, found: list[_Found]) -> tuple[Vectors, Rows]:
        """The best ``k`` of all segments; what may have more than it ``found`` is searched deeper."""
        while True:
            best = self._best_of(query, k, found)
            unsure = [
                one
                for one in found
                if not self._parts[one.segment].decides(
                    best[0], k, one.scores, one.rows, scanned=one.scanned
                )
            ]
            if not unsure:
                return best
            for one in unsure:
                depth = DEEPER * max(k, len(one.rows))
                one.scores, one.rows = self._parts[one.segment].scan(query, depth)
                one.scanned = True

    def _best_of(self, query: Vectors, k: int, found: list[_Found]) -> tuple[Vectors, Rows]:
        counts = [len(one.rows) for one in found]
        firsts = self._space.starts[[one.segment for one in found]]
        flat = np.concatenate([_NO_ROWS, *(one.rows for one in found)])
        about = np.concatenate([_NO_SCORES, *(one.scores for one in found)])
        there = flat >= 0
        flat = flat + np.repeat(firsts, counts)
        if self._space.live is not None:
            there &= self._space.live[flat]
        flat, about = flat[there], about[there]
        if k < len(flat):
            kth = np.partition(about, len(about) - k)[len(about) - k] if k else np.float32(np.inf)
            flat = flat[about >= kth - 2 * slack(kth)]
        return self._best(query, k, flat)

    def _best(self, query: Vectors, k: int, rows: Rows) -> tuple[Vectors, Rows]:
        """Scores and rows (m,) of the best ``k`` of ``rows`` (n,), in ``lurcher.order``."""
        scores = evened(inner_products(self.vectors(rows), query))
        best = best_first(scores, rows, k)
        return scores[best], rows[best]

    def search_among(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        """As ``VectorStore.search_among``."""
        k = min(k, len(allowed))
        starts = self._space.starts
        bounds = np.searchsorted(allowed, starts).tolist()
        found = [_NO_ROWS]
        for number in self._some:
            own = allowed[bounds[number] : bounds[number + 1]] - starts[number]
            part = self._parts[number]
            if len(own) <= EXACT_ROWS:
                rows = part.nearest(query, k, own)
            else:
                _, rows = part.search_among(query, k + BEYOND, own)
            found.append(rows + starts[number])
        return self._best(query, k, np.concatenate(found))


class _Stored:
    """Vectors a slice at a time; nothing is kept."""

    def __init__(self, index: SegmentedVectors, space: RowSpace) -> None:
        self._index, self._space = index, space

    def __len__(self) -> int:
        return self._index.count

    def __getitem__(self, rows: slice, /) -> Vectors:
        vectors = self._index.vectors(np.arange(rows.start, rows.stop))
        if self._space.live is not None:
            vectors[~self._space.live[rows]] = 0
        return vectors


def join_vectors(space: RowSpace, parts: Sequence[VectorIndex]) -> VectorStore:
    """The vectors of all segments; of a single one of which nothing is deleted its own."""
    return parts[0] if space.plain else SegmentedVectors(space, parts)
