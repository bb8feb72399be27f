"""Rankers: candidates of the first stage in a new order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.retrieval.passage_reader import ReadPassage
from lurcher.retrieval.query import QueryState


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a ranker found: columns of scores (C,), ``rank`` among them, and the order of the candidates (C,).

    ``read_passages`` are those that it read, by row, so that answers need not read them again.
    """

    columns: Mapping[str, Vectors]
    order: Rows
    read_passages: Mapping[int, ReadPassage] = field(default_factory=dict)


class Ranker(Protocol):
    """Orders the candidates of one query."""

    few: int
    """Fewer candidates than these take about as long as these."""

    def length(self, state: QueryState) -> int:
        """How many tokens of the query each candidate is compared with, which is what time goes by."""

    def scores(self, state: QueryState) -> Mapping[str, Vectors]:
        """What each candidate of ``state`` scores (C,) whatever the others are. Raises LurcherError.

        Only the column ``dense`` is read, and the passages have to be here.
        """

    def ranked(self, state: QueryState, scores: Mapping[str, Vectors]) -> Ranking:
        """The candidates of ``state`` by their ``scores`` (C,), wherever these were made."""

    def __call__(self, state: QueryState) -> Ranking:
        """Scores and order of the candidates of ``state``. Raises LurcherError."""
