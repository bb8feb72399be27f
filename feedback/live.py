"""What a running server has learnt since its bundle was made: known queries, in memory.

Their vectors are in a graph of their own (server.graph). A query that has lost its last label is
forgotten; should it come again, it is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.graph import Graph
from lurcher.models.text import normalised


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
        self._graph = Graph(dimension)
        self._known: dict[int, _Known] = {}  # by number
        self._numbers: dict[str, int] = {}  # by normalised text
        self._by_row: dict[int, set[int]] = {}
        self._sums: dict[int, Vectors] = {}  # of rows that were asked for since they changed

    def __len__(self) -> int:
        """How many known queries there are."""
        return len(self._known)

    def unknown(self, changes: Sequence[Change]) -> list[str]:
        """The texts in ``changes`` whose vectors ``learn`` needs, each once."""
        wanted = {normalised(change.query): change.query for change in changes if change.weight > 0}
        return [text for key, text in wanted.items() if key not in self._numbers]

    def learn(
        self,
        changes: Sequence[Change],
        texts: Sequence[str],
        vectors: Vectors,
        passage_vectors: Callable[[Rows], Vectors],
    ) -> None:
        """Apply ``changes``; ``texts`` with ``vectors`` (n, d) are those that ``unknown`` named."""
        numbers = self._graph.add(vectors).tolist() if len(texts) else []
        for number, text in zip(numbers, texts, strict=True):
            self._known[number] = _Known(text, {}, {})
            self._numbers[normalised(text)] = number
        for change in changes:
            number = self._numbers.get(normalised(change.query))
            if number is not None:  # or else it is to lose what it does not have
                self._set(number, change, passage_vectors)
        self._forget({normalised(change.query) for change in changes})

    def _set(self, number: int, change: Change, passage_vectors: Callable[[Rows], Vectors]) -> None:
        known, row = self._known[number], change.row
        if change.weight > 0:
            if row not in known.weights:
                passage = passage_vectors(np.array([row]))[0]
                known.scores[row] = float(self.vectors([number])[0] @ passage)
                self._by_row.setdefault(row, set()).add(number)
            known.weights[row] = change.weight
        elif row in known.weights:
            del known.weights[row], known.scores[row]
            self._by_row[row].discard(number)
            if not self._by_row[row]:
                del self._by_row[row]
        for changed in (row, *known.weights):  # its other labels are parts of the largest
            self._sums.pop(changed, None)

    def _forget(self, keys: Iterable[str]) -> None:
        """Forget those of the texts ``keys`` that have no label any more."""
        silent = [
            key
            for key in keys
            if key in self._numbers and not self._known[self._numbers[key]].weights
        ]
        numbers = [self._numbers.pop(key) for key in silent]
        for number in numbers:
            del self._known[number]
        if numbers:
            self._graph.remove(np.array(numbers, np.int64))

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Similarities (B, m) and numbers (B, m) of the nearest ``k`` or all, -inf and -1 for none."""
        return self._graph.search(vectors, k)

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
        return self._graph.vectors(np.array(numbers, np.int64))

    def sum_of(self, row: int) -> Vectors:
        """The weighted sum (d,) of a passage's known queries here."""
        if row not in self._sums:
            known = self.known_of(row)
            labels = np.array([label for _, label in known], np.float32)
            self._sums[row] = labels @ self.vectors([number for number, _ in known])
        return self._sums[row]
