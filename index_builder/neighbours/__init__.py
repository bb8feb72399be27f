"""The ``neighbours/`` of a bundle: its settings chosen by trial, its files written."""

from __future__ import annotations

from lurcher.index_builder.neighbours.write import (
    Judged,
    NeighbourOptions,
    add_neighbours,
    check_similarity,
)

__all__ = ["Judged", "NeighbourOptions", "add_neighbours", "check_similarity"]
