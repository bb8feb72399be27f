"""What a collection has, read by id: passages and documents, without a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.conditions import Condition
from lurcher.bundle.facets import Facet, facet
from lurcher.bundle.listing import rows_after
from lurcher.bundle.passage import Passage
from lurcher.errors import FieldError
from lurcher.retrieval.checks import no_passage


class Contents(Protocol):
    """The passages of a collection, wherever they lie; safe to share between threads."""

    def passage(self, id_: str) -> Passage | None:
        """The passage with that id; None if there is none."""

    def document(self, id_: str) -> list[Passage]:
        """The passages of the document with that id, in the order of its text; none if there is no such."""

    def listed(self, after: str, limit: int, conditions: Sequence[Condition] = ()) -> list[Passage]:
        """The first ``limit`` passages after the id ``after``, by id, of those that meet ``conditions``.

        Raises FieldError.
        """

    def facets(
        self, fields: Sequence[str], limit: int, conditions: Sequence[Condition] = ()
    ) -> tuple[int, list[Facet]]:
        """How many passages meet ``conditions``, and their ``limit`` most frequent values of ``fields``.

        Raises FieldError.
        """

    def count(self) -> int:
        """How many passages there are."""


def passage_of(contents: Contents, id_: str) -> Passage:
    """The passage with that id. Raises FieldError; if a document has it, it names passages of that."""
    found = contents.passage(id_)
    if found is None:
        raise FieldError("id", no_passage([one.id for one in contents.document(id_)]))
    return found


class BundleContents:
    """The passages of one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._passages = bundle, bundle.passages

    def passage(self, id_: str) -> Passage | None:
        """As ``Contents.passage``."""
        found = self._passages.get(list(self._passages.rows_of([id_]).values()))
        return found[0] if found else None

    def document(self, id_: str) -> list[Passage]:
        """As ``Contents.document``."""
        return self._passages.of_document(id_)

    def listed(self, after: str, limit: int, conditions: Sequence[Condition] = ()) -> list[Passage]:
        """As ``Contents.listed``."""
        allow = self._passages.rows(conditions) if conditions else None
        return self._passages.get(rows_after(self._bundle, after, limit, allow))

    def facets(
        self, fields: Sequence[str], limit: int, conditions: Sequence[Condition] = ()
    ) -> tuple[int, list[Facet]]:
        """As ``Contents.facets``."""
        allow = self._passages.rows(conditions) if conditions else None
        total = self._passages.count if allow is None else len(allow)
        return total, [facet(self._bundle, field, allow, limit) for field in fields]

    def count(self) -> int:
        """As ``Contents.count``."""
        return self._passages.count
