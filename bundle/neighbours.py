"""Known queries of a bundle: their vectors, the passages judged relevant to them, and what follows.

::

    neighbours/
      queries.faiss     one vector a known query, by number; the teacher's, so that students share them
      queries.db        their ids and texts, in the layout of bundle.passages
      labels.npz        which passages answer them, with weights                bundle.labels
      scores.npy        (labels,) float32: the passage's inner product with its known query
      means.npy         (passages with labels, d) float32: their known queries' weighted sum, at norm 1
      lengths.npy       (passages with labels,) float32: the norm that the sum had
      adapted.faiss     adapted mode: one vector a passage, by row

Means and lengths stand in the order of the ids in labels.npz. Formulas are those of models.neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.labels import Labels, RowsOf
from lurcher.bundle.passages import Passages, Rows
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.errors import BundleCorrupt

NEIGHBOURS = "neighbours"
QUERIES, TEXTS = f"{NEIGHBOURS}/queries.faiss", f"{NEIGHBOURS}/queries.db"
LABELS, SCORES = f"{NEIGHBOURS}/labels.npz", f"{NEIGHBOURS}/scores.npy"
MEANS, LENGTHS = f"{NEIGHBOURS}/means.npy", f"{NEIGHBOURS}/lengths.npy"
ADAPTED = f"{NEIGHBOURS}/adapted.faiss"

Mode = Literal["off", "adapted", "voting"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AdaptedSettings(_Part):
    """How far passages are moved towards their known queries."""

    dense_weight: float = Field(default=0.5, ge=0, le=1, description="lambda")


class VotingSettings(_Part):
    """How known queries vote. The defaults are for judgements nobody has tuned on."""

    neighbours: int = Field(default=16, ge=1, description="k, known queries that vote")
    temperature: float = Field(default=0.1, gt=0)
    margin: float = Field(
        default=0.1, description="how much nearer than its passage a query must be"
    )
    dense_weight: float = Field(default=0.5, ge=0, le=1, description="lambda")


class Trial(_Part):
    """Retrieval on development queries, and on known ones whose passages were made unknown."""

    mode: Mode
    ndcg: float  # nDCG@10
    recall: float  # Recall@100
    unseen_ndcg: float | None  # None: too few such queries to tell
    unseen_recall_10: float | None
    unseen_recall: float | None


class NeighbourSettings(_Part):
    """What the manifest says of known queries."""

    mode: Mode = Field(description="which won on development queries, and is used by default")
    adapted: AdaptedSettings
    voting: VotingSettings
    queries: int = Field(ge=1)
    labels: int = Field(ge=1)
    passages: int = Field(ge=1, description="how many have a label")
    sources: dict[str, int]  # known queries by where they came from
    logs: dict[str, int]  # feedback logs that were folded in: id -> last sequence number
    search_effort: int | None  # of queries.faiss
    adapted_effort: int | None  # of adapted.faiss
    development: str  # what was tuned on
    trials: list[Trial]  # off first; empty where there was nothing to tune on


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The known queries of an opened bundle; safe to share between threads."""

    settings: NeighbourSettings
    queries: VectorIndex
    texts: Passages
    labels: Labels
    scores: Vectors  # (labels,)
    by_passage: Labels  # labels transposed: rows are numbers of known queries
    rows: Rows  # (p,) passages that have labels, ascending
    mean_of: Rows  # (p,) where the mean of each of ``rows`` stands in ``means``
    means: Vectors  # (p, d)
    lengths: Vectors  # (p,)
    adapted: VectorIndex

    @classmethod
    def open(
        cls, bundle: Path, settings: NeighbourSettings, passages: int, rows_of: RowsOf
    ) -> Neighbours:
        """Those of the folder ``bundle`` of so many ``passages``.

        ``rows_of`` gives the rows of those of the passage ids that the bundle has. Raises BundleCorrupt.
        """
        labels, rows = Labels.load(bundle / LABELS, rows_of)
        order = np.argsort(rows)
        queries = VectorIndex.open(bundle / QUERIES, settings.search_effort)
        opened = cls(
            settings,
            queries,
            Passages(bundle / TEXTS),
            labels,
            _load(bundle / SCORES, (settings.labels,)),
            labels.transposed(passages),
            rows[order],
            order,
            _load(bundle / MEANS, (settings.passages, queries.dimension)),
            _load(bundle / LENGTHS, (settings.passages,)),
            VectorIndex.open(bundle / ADAPTED, settings.adapted_effort),
        )
        for file, what, has, wants in (
            (QUERIES, "entries", queries.count, settings.queries),
            (TEXTS, "entries", opened.texts.count, settings.queries),
            (LABELS, "queries", len(labels.indptr) - 1, settings.queries),
            (LABELS, "labels", len(labels.rows), settings.labels),
            (LABELS, "passages", len(rows), settings.passages),
            (ADAPTED, "entries", opened.adapted.count, passages),
            (ADAPTED, "dimensions", opened.adapted.dimension, queries.dimension),
        ):
            if has != wants:
                opened.close()
                raise BundleCorrupt(bundle, file, f"{has} {what}, expected {wants}")
        return opened

    def means_of(self, rows: Rows) -> tuple[Vectors, Vectors]:
        """Means (n, d) of the known queries of passages ``rows`` and lengths (n,); zeros for none."""
        places = np.searchsorted(self.rows, rows)
        places[places == len(self.rows)] = 0
        has = self.rows[places] == rows
        where = self.mean_of[places]
        means = self.means[where]
        means[~has] = 0
        return means, self.lengths[where] * has

    def close(self) -> None:
        """Close the files."""
        self.texts.close()


def _load(file: Path, shape: tuple[int, ...]) -> Vectors:
    try:
        found = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # NumPy has a dozen for what may be wrong here
        raise BundleCorrupt(file.parent, file.name, str(error)) from error
    if found.dtype != np.float32 or found.shape != shape:
        reason = f"{found.dtype} {found.shape}, expected float32 {shape}"
        raise BundleCorrupt(file.parent, file.name, reason)
    # A head that says that it is shorter would let numbers begin in its padding.
    if (ends := found.offset + found.nbytes) != (size := file.stat().st_size):
        raise BundleCorrupt(file.parent, file.name, f"{size} bytes, expected {ends}")
    mapped: Vectors = found.view(np.ndarray)  # NumPy's own class is slow to index
    return mapped
