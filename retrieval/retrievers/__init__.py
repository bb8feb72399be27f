"""Retrievers: from query vectors to candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.retrieval.query import Candidates


class Retriever(Protocol):
    """Finds candidates for a batch of queries."""

    def search(
        self, vectors: Vectors, depths: Sequence[int], allow: Sequence[Rows | None]
    ) -> list[Candidates]:
        """Candidates of each of the query ``vectors`` (B, d), best first, at most its depth of them.

        ``allow`` has for each query the rows that its filter lets through, ascending; None: all.
        """
