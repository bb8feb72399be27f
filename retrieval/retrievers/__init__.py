"""Retrievers: from what is known of queries to candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lurcher.bundle.passages import Rows
from lurcher.retrieval.query import Candidates, QueryFeatures


class Retriever(Protocol):
    """Finds candidates for a batch of queries."""

    def search(
        self,
        features: Sequence[QueryFeatures],
        depths: Sequence[int],
        allow: Sequence[Rows | None],
    ) -> list[Candidates]:
        """Candidates of the query of each of ``features``, best first, at most its depth of them.

        ``allow`` has for each query the rows that its filter lets through, ascending; None: all.
        """
