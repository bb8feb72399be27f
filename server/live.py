"""What a running server has learnt since its bundle was made: known queries, in memory.

The vectors are in a small graph that grows with each query. A query that has lost its last label stays
in the graph, silent, until such ones are the most; then the graph is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from bundle.passages import Rows
from bundle.vectors import Vectors
from models.text import normalised

# Links of a vector in the graph, and how many are followed: at 100,000 vectors every query still finds
# its own.
_LINKS, _EFFORT = 16, 64
_FEW = 64  # silent queries that never matter


@dataclass(frozen=True, slots=True)
class Change:
    """The known query ``query`` now has ``weight`` for the passage in ``row``; 0: none any more."""

    query: str
    row: int
    weight: float


@dataclass(slots=True)
class _Known:
    text: str
    weights: dict[int, float]  # by row of the passage
    scores: dict[int, float]  # the passage's inner product with the query


class Live:
    """Known queries that come and go; for one thread at a time."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index = self._empty()
        self._known: list[_Known] = []
        self._numbers: dict[str, int] = {}  # by normalised text
        self._by_row: dict[int, set[int]] = {}
        self._sums: dict[int, Vectors] = {}  # of rows that were asked for since they changed
        self._silent = 0

    def _empty(self) -> faiss.Index:
        index = faiss.IndexHNSWSQ(
            self._dimension, faiss.ScalarQuantizer.QT_fp16, _LINKS, faiss.METRIC_INNER_PRODUCT
        )
        index.hnsw.efSearch = _EFFORT
        return index

    def __len__(self) -> int:
        """How many known queries have a label."""
        return len(self._known) - self._silent

    def unknown(self, changes: Sequence[Change]) -> list[str]:
        """The texts in ``changes`` whose vectors ``learn`` needs, each once."""
        wanted = {normalised(change.query): change.query for change in changes}
        return [text for key, text in wanted.items() if key not in self._numbers]

    def learn(
        self,
        changes: Sequence[Change],
        texts: Sequence[str],
        vectors: Vectors,
        passage_vectors: Callable[[Rows], Vectors],
    ) -> None:
        """Apply ``changes``; ``texts`` with ``vectors`` (n, d) are those that ``unknown`` named."""
        for text in texts:
            self._numbers[normalised(text)] = len(self._known)
            self._known.append(_Known(text, {}, {}))
        self._silent += len(texts)
        if len(texts):
            self._index.add(np.ascontiguousarray(vectors))
        for change in changes:
            self._set(self._numbers[normalised(change.query)], change, passage_vectors)
        if self._silent > max(_FEW, len(self._known) // 2):
            self._rebuild()

    def _set(self, number: int, change: Change, passage_vectors: Callable[[Rows], Vectors]) -> None:
        known, row = self._known[number], change.row
        was_silent = not known.weights
        if change.weight > 0:
            if row not in known.weights:
                passage = passage_vectors(np.array([row]))[0]
                known.scores[row] = float(self._index.reconstruct(number) @ passage)
                self._by_row.setdefault(row, set()).add(number)
            known.weights[row] = change.weight
        elif row in known.weights:
            del known.weights[row], known.scores[row]
            self._by_row[row].discard(number)
            if not self._by_row[row]:
                del self._by_row[row]
        for changed in (row, *known.weights):  # its other labels are parts of the largest
            self._sums.pop(changed, None)
        self._silent += (not known.weights) - was_silent

    def _rebuild(self) -> None:
        kept = [number for number, known in enumerate(self._known) if known.weights]
        index = self._empty()
        if kept:
            index.add(self._index.reconstruct_batch(np.array(kept, np.int64)))
        self._index = index
        self._known = [self._known[number] for number in kept]
        self._numbers = {normalised(known.text): i for i, known in enumerate(self._known)}
        self._by_row = {}
        for number, known in enumerate(self._known):
            for row in known.weights:
                self._by_row.setdefault(row, set()).add(number)
        self._silent = 0

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Similarities (B, m) and numbers (B, m) of the nearest ``k`` or all, -inf and -1 for none."""
        depth = min(len(self._known), k + self._silent)
        found, numbers = self._index.search(vectors, depth)
        silent = [[n < 0 or not self._known[n].weights for n in some] for some in numbers.tolist()]
        similarities = np.where(silent, np.float32(-np.inf), found)
        # Silent ones come last; without any, the order is the index's.
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        similarities = np.take_along_axis(similarities, order, axis=1)
        numbers = np.take_along_axis(numbers, order, axis=1)
        return similarities, np.where(similarities > -np.inf, numbers, -1)

    def labels(self, number: int) -> list[tuple[int, float, float]]:
        """Row, score and label of each passage of a known query; its best label is 1."""
        known = self._known[number]
        most = max(known.weights.values(), default=1.0)
        return [(row, known.scores[row], w / most) for row, w in known.weights.items()]

    def text(self, number: int) -> str:
        """The text of a known query."""
        return self._known[number].text

    def has(self, row: int) -> bool:
        """Whether a passage has a known query here."""
        return row in self._by_row

    def known_of(self, row: int) -> list[tuple[int, float]]:
        """Number and label of each known query of a passage."""
        found = []
        for number in self._by_row.get(row, ()):
            weights = self._known[number].weights
            found.append((number, weights[row] / max(weights.values())))
        return found

    def vectors(self, numbers: Sequence[int]) -> Vectors:
        """The vectors (n, d) of known queries."""
        found: Vectors = self._index.reconstruct_batch(np.array(numbers, np.int64))
        return found

    def sum_of(self, row: int) -> Vectors:
        """The weighted sum (d,) of a passage's known queries here."""
        if row not in self._sums:
            known = self.known_of(row)
            labels = np.array([label for _, label in known], np.float32)
            self._sums[row] = labels @ self.vectors([number for number, _ in known])
        return self._sums[row]
