"""Passages whose vectors are nearest to the query's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.scanned import AdaptedIndex
from lurcher.retrieval.query import NO_CANDIDATES, Candidates, QueryFeatures


class DenseRetriever:
    """An index of vectors; the column that ``score`` names is the inner product in that index."""

    def __init__(self, index: AdaptedIndex, score: str = "dense") -> None:
        self._index, self._score = index, score

    def search(
        self,
        features: Sequence[QueryFeatures],
        depths: Sequence[int],
        allow: Sequence[Rows | None],
    ) -> list[Candidates]:
        """As ``Retriever.search``."""
        vectors = np.stack([one.vector for one in features])  # (B, d)
        found = [NO_CANDIDATES] * len(depths)
        # By depth: a graph searched deeper finds more, and a query's hits must not depend on its company.
        by_depth: dict[int, list[int]] = {}
        for place, (depth, rows) in enumerate(zip(depths, allow, strict=True)):
            if rows is None:
                by_depth.setdefault(depth, []).append(place)
            else:
                scores, passing = self._index.search_among(vectors[place], depth, rows)
                found[place] = Candidates(passing, {self._score: scores})
        for depth, places in by_depth.items():
            for place, (scores, rows) in zip(
                places, self._index.top(vectors[places], depth), strict=True
            ):
                found[place] = Candidates(rows, {self._score: scores})
        return found
