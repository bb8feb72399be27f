"""Vectors of some passages in memory, each of which is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.order import best_first, evened, inner_products


class AdaptedIndex(Protocol):
    """What finds passages by vectors. ``VectorIndex`` says what each method gives."""

    def top(self, queries: Vectors, k: int) -> list[tuple[Vectors, Rows]]:
        """For each of ``queries`` (B, d) scores (m,) and rows (m,) in ``lurcher.order``, m at most k."""

    def search_among(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        """Scores (m,) and rows (m,), as ``top`` has them, of ``allowed`` rows only, m at most k."""

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors (n, d) of ``rows``, which it has found."""


@dataclass(frozen=True, eq=False)
class ScannedVectors:
    """An ``AdaptedIndex`` of passages ``rows`` (n,), ascending; their vectors are made when needed."""

    make: Callable[[], Vectors]
    rows: Rows

    @cached_property
    def _vectors(self) -> Vectors:
        return self.make()

    def top(self, queries: Vectors, k: int) -> list[tuple[Vectors, Rows]]:
        """As ``AdaptedIndex.top``."""
        return [self._best(query, k, np.arange(len(self.rows))) for query in queries]

    def search_among(self, query: Vectors, k: int, allowed: Rows) -> tuple[Vectors, Rows]:
        """As ``AdaptedIndex.search_among``."""
        return self._best(query, k, np.flatnonzero(np.isin(self.rows, allowed)))

    def vectors(self, rows: Rows) -> Vectors:
        """As ``AdaptedIndex.vectors``."""
        return self._vectors[np.searchsorted(self.rows, rows)]

    def _best(self, query: Vectors, k: int, places: Rows) -> tuple[Vectors, Rows]:
        scores = evened(inner_products(self._vectors[places], query))
        best = best_first(scores, places, k)
        return scores[best], self.rows[places[best]]
