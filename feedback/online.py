"""The online index: known queries that a running server has learnt since its bundle was made, in memory.

A query that has lost its last label is deleted; should it come again, it is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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
    weights: dict[str, float]  # by id of the passage


@dataclass(slots=True)
class _Learnt:
    """What is known, by ids of passages: the same in every snapshot."""

    vectors: PartitionedVectors
    known: dict[int, _KnownQuery] = field(default_factory=dict)  # by number
    numbers: dict[str, int] = field(default_factory=dict)  # by normalised text
    by_passage: dict[str, set[int]] = field(default_factory=dict)  # numbers by id
    changes: int = 0


class OnlineIndex:
    """Known queries that come and go; for one thread at a time.

    Inside, passages are rows of one snapshot; from outside come their ids. Those of several snapshots of a
    bundle have learnt the same, whichever was told (``moved``).
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
        self._rows_of, self._passage_vectors = rows_of, passage_vectors
        self._learnt = _Learnt(PartitionedVectors(dimension, scanned))
        self._seen = 0  # changes that the rows below are as of
        self._rows: dict[str, int] = {}  # of the passages that have a known query, -1 for none
        self._ids: dict[int, str] = {}  # by row
        self._scores: dict[tuple[int, str], float] = {}  # inner products that were asked for
        self._sums: dict[int, Vectors] = {}  # of rows that were asked for since anything changed

    def moved(
        self, follow: Callable[[Rows, Sequence[str]], Rows],
        rows_of: Callable[[Sequence[str]], Mapping[str, int]],
        passage_vectors: Callable[[Rows], Vectors],
    ) -> OnlineIndex:  # fmt: skip
        """The same known queries for another snapshot: what one learns, both have learnt.

        ``follow`` gives the rows (n,) there of passages by their rows (n,) here and ids, -1 for none.
        """
        other = OnlineIndex.__new__(OnlineIndex)
        other._rows_of, other._passage_vectors = rows_of, passage_vectors
        other._learnt, other._seen = self._learnt, self._seen
        ids = list(self._rows)
        rows = follow(np.array([self._rows[id_] for id_ in ids], np.int64), ids).tolist()
        other._rows = dict(zip(ids, rows, strict=True))
        other._ids = {row: id_ for id_, row in other._rows.items() if row >= 0}
        other._scores, other._sums = {}, {}
        return other

    def __len__(self) -> int:
        """How many known queries there are."""
        return len(self._learnt.known)

    def unknown(self, changes: Sequence[Change]) -> list[str]:
        """The texts in ``changes`` whose vectors ``learn`` needs, each once."""
        wanted = {normalised(change.query): change.query for change in changes if change.weight > 0}
        return [text for key, text in wanted.items() if key not in self._learnt.numbers]

    def learn(self, changes: Sequence[Change], texts: Sequence[str], vectors: Vectors) -> None:
        """Apply ``changes``; ``texts`` with ``vectors`` (n, d) are those that ``unknown`` named.

        Changes of passages that the snapshot does not have are passed over, but those that take a label away:
        should the passage come back, it is another.
        """
        self._look()
        learnt = self._learnt
        rows = self._rows_of(list({change.passage for change in changes}))
        numbers = learnt.vectors.add(vectors).tolist() if len(texts) else []
        for number, text in zip(numbers, texts, strict=True):
            learnt.known[number] = _KnownQuery(text, {})
            learnt.numbers[normalised(text)] = number
        for change in changes:
            number = learnt.numbers.get(normalised(change.query))
            # One that is not known is to lose what it does not have.
            if number is not None and (change.passage in rows or not change.weight):
                self._set(number, change.passage, change.weight)
        self._delete_unlabelled({normalised(change.query) for change in changes})
        learnt.changes += 1
        # What others look for anew is at hand here.
        self._seen = learnt.changes
        for passage, row in rows.items():
            if passage in learnt.by_passage:
                self._rows[passage], self._ids[row] = row, passage
            else:
                self._rows.pop(passage, None)
                self._ids.pop(row, None)
        self._sums.clear()

    def _set(self, number: int, passage: str, weight: float) -> None:
        weights, by_passage = self._learnt.known[number].weights, self._learnt.by_passage
        if weight > 0:
            weights[passage] = weight
            by_passage.setdefault(passage, set()).add(number)
        elif passage in weights:
            del weights[passage]
            by_passage[passage].discard(number)
            if not by_passage[passage]:
                del by_passage[passage]

    def _delete_unlabelled(self, keys: Iterable[str]) -> None:
        """Delete those of the texts ``keys`` that have no label any more."""
        learnt = self._learnt
        unlabelled = [
            key
            for key in keys
            if key in learnt.numbers and not learnt.known[learnt.numbers[key]].weights
        ]
        numbers = [learnt.numbers.pop(key) for key in unlabelled]
        for number in numbers:
            del learnt.known[number]
        if numbers:
            self._scores.clear()
            learnt.vectors.remove(np.array(numbers, np.int64))

    def _look(self) -> None:
        """Find the rows of passages that have a known query since this snapshot looked last."""
        if self._seen == self._learnt.changes:
            return
        passages = self._learnt.by_passage
        new = [id_ for id_ in passages if id_ not in self._rows]
        found = self._rows_of(new) if new else {}
        self._rows = {id_: self._rows[id_] for id_ in self._rows if id_ in passages}
        self._rows |= {id_: found.get(id_, -1) for id_ in new}
        self._ids = {row: id_ for id_, row in self._rows.items() if row >= 0}
        self._scores.clear()
        self._sums.clear()
        self._seen = self._learnt.changes

    def _weights(self, number: int) -> dict[str, float]:
        """The weights of a known query for passages that the snapshot has; its best is 1."""
        self._look()
        weights = self._learnt.known[number].weights
        there = {id_: weight for id_, weight in weights.items() if self._rows[id_] >= 0}
        most = max(there.values(), default=1.0)
        return {id_: weight / most for id_, weight in there.items()}

    def search(self, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Similarities (B, m) and numbers (B, m) of the nearest ``k`` or all, -inf and -1 for none."""
        return self._learnt.vectors.search(vectors, k)

    def labels(self, number: int) -> list[tuple[int, float, float]]:
        """Row, score and label of each passage of a known query; its best label is 1.

        The score is the passage's inner product with the query.
        """
        return [
            (self._rows[id_], self._score(number, id_), label)
            for id_, label in self._weights(number).items()
        ]

    def _score(self, number: int, passage: str) -> float:
        key = number, passage
        if key not in self._scores:
            vector = self._passage_vectors(np.array([self._rows[passage]]))[0]
            self._scores[key] = float(self.vectors([number])[0] @ vector)
        return self._scores[key]

    def text(self, number: int) -> str:
        """The text of a known query."""
        return self._learnt.known[number].text

    def has(self, row: int) -> bool:
        """Whether a passage has a known query here."""
        self._look()
        return row in self._ids

    def known_of(self, row: int) -> list[tuple[int, float]]:
        """Number and label of each known query of a passage."""
        self._look()
        passage = self._ids.get(row, "")
        numbers = self._learnt.by_passage.get(passage, ())
        return [(number, self._weights(number)[passage]) for number in numbers]

    def vectors(self, numbers: Sequence[int]) -> Vectors:
        """The vectors (n, d) of known queries."""
        return self._learnt.vectors.vectors(np.array(numbers, np.int64))

    def sum_of(self, row: int) -> Vectors:
        """The weighted sum (d,) of a passage's known queries here."""
        self._look()
        if row not in self._sums:
            known = self.known_of(row)
            labels = np.array([label for _, label in known], np.float32)
            self._sums[row] = labels @ self.vectors([number for number, _ in known])
        return self._sums[row]
