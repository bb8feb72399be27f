"""The online index: known queries that a running server has learnt since its bundle was made, in memory.

A query that has lost its last label is deleted; should it come again, it is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.partitions import SCANNED, PartitionedVectors
from lurcher.text import normalised


@dataclass(frozen=True, slots=True)
class Change:
    """The known query ``query`` now has ``weight`` for the passage with the id ``passage``; 0: none."""

    query: str
    passage: str
    weight: float


@dataclass(slots=True)
class _KnownQuery:
    text: str
    weights: dict[int, float]  # by row of the passage
    scores: dict[int, float]  # the passage's inner product with the query


class OnlineIndex:
    """Known queries that come and go; for one thread at a time.

    Inside, passages are rows of one snapshot; from outside come their ids.
    """

    def __init__(
        self,
        dimension: int,
        rows_of: Callable[[Sequence[str]], Mapping[str, int]],
        passage_vectors: Callable[[Rows], Vectors],
        scanned: int = SCANNED,
    ) -> None:
        """Nothing is known yet.

        ``rows_of`` gives the rows of those of the passage ids that the snapshot has, ``passage_vectors``
        the vectors (n, d) of rows (n,). Up to ``scanned`` known queries a search is exact.
        """
        self._rows_of = rows_of
        self._passage_vectors = passage_vectors
        self._vectors = PartitionedVectors(dimension, scanned)
        self._known: dict[int, _KnownQuery] = {}  # by number
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

    def learn(self, changes: Sequence[Change], texts: Sequence[str], vectors: Vectors) -> None:
        """Apply ``changes``; ``texts`` with ``vectors`` (n, d) are those that ``unknown`` named.

        Changes of passages that the snapshot does not have are passed over.
        """
        rows = self._rows_of(list({change.passage for change in changes}))
        numbers = self._vectors.add(vectors).tolist() if len(texts) else []
        for number, text in zip(numbers, texts, strict=True):
            self._known[number] = _KnownQuery(text, {}, {})
            self._numbers[normalised(text)] = number
        for change in changes:
            number = self._numbers.get(normalised(change.query))
            # One that is not known is to lose what it does not have.
            if number is not None and change.passage in rows:
                self._set(number, rows[change.passage], change.weight)
        self._delete_unlabelled({normalised(change.query) for change in changes})

    def _set(self, number: int, row: int, weight: float) -> None:
        known = self._known[number]
        if weight > 0:
            if row not in known.weights:
                passage = self._passage_vectors(np.array([row]))[0]
                known.scores[row] = float(self.vectors([number])[0] @ passage)
                self._by_row.setdefault(row, set()).add(number)
            known.weights[row] = weight
        elif row in known.weights:
            del known.weights[row], known.scores[row]
            self._by_row[row].discard(number)
            if not self._by_row[row]:
                del self._by_row[row]
        for changed in (row, *known.weights):  # its other labels are parts of the largest
            self._sums.pop(changed, None)

    def _delete_unlabelled(self, keys: Iterable[str]) -> None:
        """Delete those of the texts ``keys`` that have no label any more."""
        unlabelled = [
            key
            for key in keys
            if key in self._numbers and not self._known[self._numbers[key]].weights
        ]
        numbers = [self._numbers.pop(key) for key in unlabelled]
        for number in numbers:
            del self._known[number]
        if numbers:
            self._vectors.remove(np.array(numbers, np.int64))

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Similarities (B, m) and numbers (B, m) of the nearest ``k`` or all, -inf and -1 for none."""
        return self._vectors.search(vectors, k)

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
        return self._vectors.vectors(np.array(numbers, np.int64))

    def sum_of(self, row: int) -> Vectors:
        """The weighted sum (d,) of a passage's known queries here."""
        if row not in self._sums:
            known = self.known_of(row)
            labels = np.array([label for _, label in known], np.float32)
            self._sums[row] = labels @ self.vectors([number for number, _ in known])
        return self._sums[row]
