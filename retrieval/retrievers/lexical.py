"""Passages that have the query's words (BM25)."""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.bundle.lexical_index import LexicalIndex, QueryTerms
from lurcher.bundle.passages import Rows
from lurcher.retrieval.query import Candidates, QueryFeatures


class LexicalRetriever:
    """A lexical index; the column ``lexical`` is the share of the query's terms that a passage has."""

    def __init__(self, index: LexicalIndex) -> None:
        self._index = index

    def search(
        self,
        features: Sequence[QueryFeatures],
        depths: Sequence[int],
        allow: Sequence[Rows | None],
    ) -> list[Candidates]:
        """As ``Retriever.search``; no passage is found that has none of the terms."""
        found = []
        for one, depth, allowed in zip(features, depths, allow, strict=True):
            scores, rows = self._index.top(query_terms(one), depth, allowed)
            found.append(Candidates(rows, {"lexical": scores}))
        return found


def query_terms(features: QueryFeatures) -> QueryTerms:
    """The terms of a query for which the lexical index is asked."""
    assert features.terms is not None  # noqa: S101 (encoding makes them wherever the index is asked)
    return features.terms
