"""The passages of several segments, by row of their snapshot; those that are deleted are in none of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from lurcher.bundle.conditions import Condition
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.passages import Passage, Passages, Rows
from lurcher.bundle.row_space import RowSpace

_Found = TypeVar("_Found")


class PassageStore(Protocol):
    """What is read of passages; rows are those of one snapshot. ``Passages`` says what each method gives.

    ``filter_fields`` are the fields of their metadata, in terms of which ``rows`` resolves conditions.
    """

    filter_fields: FilterFields

    @property
    def count(self) -> int:
        """How many passages there are; rows that ``rows`` leaves out are of none."""

    @property
    def fields(self) -> list[str]:
        """The names of the fields that a filter may use, in order."""

    def get(self, rows: Sequence[int]) -> list[Passage]:
        """The passages at ``rows``, in that order."""

    def contents(self, rows: Sequence[int]) -> list[str]:
        """What is encoded of the passages at ``rows``, in that order."""

    def documents(self, rows: Rows) -> list[str]:
        """The id of the document that each of the passages at ``rows`` (n,) is of."""

    def since(self, rows: Sequence[int]) -> list[float | None]:
        """Since when each of the passages at ``rows`` has its text, None: since the build."""

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The row of each of ``ids``; those that no passage has are left out."""

    def document_sizes(self) -> list[tuple[str, int]]:
        """The id of each document, and how many passages it has."""

    def parts(self, documents: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the passages of each of ``documents`` that was split; others are left out."""

    def of_document(self, document: str) -> list[Passage]:
        """The passages of the document with that id, in the order of its text; none if there is no such."""

    def rows(self, conditions: Sequence[Condition]) -> Rows:
        """The rows, ascending, of all passages that meet every condition; all, if there is none.

        Raises FieldError.
        """


class SegmentedPassages:
    """The passages of a snapshot's segments; safe to share between threads.

    What a field holds counts deleted passages as well, until they are compacted away.
    """

    def __init__(self, space: RowSpace, parts: Sequence[Passages]) -> None:
        self._space, self._parts = space, tuple(parts)
        self.filter_fields = FilterFields.joined([part.filter_fields for part in parts])
        self._count = space.passages

    @property
    def count(self) -> int:
        """As ``PassageStore.count``."""
        return self._count

    @property
    def fields(self) -> list[str]:
        """As ``PassageStore.fields``."""
        return self.filter_fields.names

    def get(self, rows: Sequence[int]) -> list[Passage]:
        """As ``PassageStore.get``."""
        return self._each(rows, lambda part, local: part.get(local))

    def contents(self, rows: Sequence[int]) -> list[str]:
        """As ``PassageStore.contents``."""
        return self._each(rows, lambda part, local: part.contents(local))

    def documents(self, rows: Rows) -> list[str]:
        """As ``PassageStore.documents``."""
        return self._each(rows.tolist(), lambda part, local: part.documents(np.array(local)))

    def since(self, rows: Sequence[int]) -> list[float | None]:
        """As ``PassageStore.since``."""
        return self._each(rows, lambda part, local: part.since(local))

    def _each(
        self, rows: Sequence[int], read: Callable[[Passages, list[int]], list[_Found]]
    ) -> list[_Found]:
        """What ``read`` gives for each of ``rows``, asked of each segment for its own."""
        found: dict[int, _Found] = {}
        for segment, places, local in self._space.split(np.array(rows, np.int64)):
            one = read(self._parts[segment], local.tolist())
            found |= zip(places.tolist(), one, strict=True)
        return [found[place] for place in range(len(rows))]

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """As ``PassageStore.rows_of``: of an id that was written again, the row of its last text."""
        found: dict[str, int] = {}
        for part, first in self._starts():
            found |= self._alive({id_: row + first for id_, row in part.rows_of(ids).items()})
        return found

    def _alive(self, rows: dict[str, int]) -> dict[str, int]:
        live = self._space.live
        return rows if live is None else {id_: row for id_, row in rows.items() if live[row]}

    def document_sizes(self) -> list[tuple[str, int]]:
        """As ``PassageStore.document_sizes``."""
        return sorted(Counter(self.documents(self.rows(()))).items())

    def parts(self, documents: Sequence[str]) -> dict[str, list[str]]:
        """As ``PassageStore.parts``; of passages written apart by where they stand in their document."""
        found: dict[str, list[str]] = {}
        for document, _, _, id_ in self._parts_of(documents):
            found.setdefault(document, []).append(id_)
        return found

    def _parts_of(self, documents: Sequence[str]) -> list[tuple[str, int, int, str]]:
        """Document, start, row and id of each passage of ``documents`` that were split, in that order."""
        live = self._space.live
        return sorted(
            (document, start, row + first, id_)
            for part, first in self._starts()
            for document, start, row, id_ in part.parts_of(documents)
            if live is None or live[row + first]
        )

    def of_document(self, document: str) -> list[Passage]:
        """As ``PassageStore.of_document``."""
        rows = [row for _, _, row, _ in self._parts_of([document])]
        if not rows:
            whole = [row + first for part, first in self._starts() for row in part.whole(document)]
            rows = self._space.alive(np.array(whole, np.int64)).tolist()
        return self.get(rows)

    def rows(self, conditions: Sequence[Condition]) -> Rows:
        """As ``PassageStore.rows``."""
        if not conditions:
            return self._space.alive(np.arange(self._space.count))
        resolved = tuple(map(self.filter_fields.resolve, conditions))
        found = [part.matching(resolved) + first for part, first in self._starts()]
        return self._space.alive(np.concatenate(found))

    def _starts(self) -> list[tuple[Passages, int]]:
        """Each segment's passages with the row of the first."""
        return list(zip(self._parts, self._space.starts.tolist(), strict=False))


def join_passages(space: RowSpace, parts: Sequence[Passages]) -> PassageStore:
    """The passages of all segments; of a single one of which none is deleted its own."""
    return parts[0] if space.plain else SegmentedPassages(space, parts)
