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

Scores and adapted vectors are those of the generation that was adapted. In a later one labels follow their
ids: those of deleted passages are gone, and of passages whose text is another now; scores are worked out
anew, and passages with labels are adapted in memory. A compaction writes labels, scores, means and lengths
without what is gone, below its generation's number (``bundle.places``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.labels import Labels, RowsOf, rows_of_all
from lurcher.bundle.passages import Passages, Rows
from lurcher.bundle.places import place_of
from lurcher.bundle.scanned import AdaptedIndex, ScannedVectors
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.uses import Use, Uses
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.errors import BundleCorrupt
from lurcher.models.neighbours.adapted import adapted_vectors

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
    queries: int = Field(ge=0, description="none in a shard whose passages have no label")
    labels: int = Field(ge=0)
    passages: int = Field(ge=0, description="how many have a label")
    sources: dict[str, int]  # known queries by where they came from
    logs: dict[str, int]  # feedback logs that were folded in: id -> last sequence number
    search_effort: int | None  # of queries.faiss
    adapted_effort: int | None  # of adapted.faiss
    development: str  # what was tuned on
    generation: Annotated[int, Field(ge=1)] = 1  # of the bundle that was adapted
    # When, in seconds since 1970, UTC; None where that was not noted. Labels are of the texts of that time.
    judged: float | None = None
    trials: list[Trial]  # off first; empty where there was nothing to tune on


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourFiles:
    """The files of ``neighbours/``, opened: what is the same in all snapshots of a bundle."""

    path: Path  # of the bundle
    settings: NeighbourSettings
    queries: VectorIndex
    texts: Passages
    labels: Labels  # of passages by number, 0 to p - 1
    ids: list[str]  # (p,) of the passages that have labels
    scores: Vectors  # (labels,)
    means: Vectors  # (p, d)
    lengths: Vectors  # (p,)
    adapted: VectorIndex
    uses: Uses

    @classmethod
    def open(
        cls, bundle: Path, settings: NeighbourSettings, files: Iterable[str] = ()
    ) -> NeighbourFiles:
        """Those of the folder ``bundle``, where its manifest's ``files`` say. Raises BundleCorrupt."""
        place = partial(place_of, list(files))
        labels, ids = Labels.load_by_id(bundle / place(LABELS))
        queries = VectorIndex.open(bundle / QUERIES, settings.search_effort)
        texts = Passages(bundle / TEXTS)
        try:
            opened = cls(
                bundle, settings, queries, texts, labels, ids,
                _load(bundle / place(SCORES), (settings.labels,)),
                _load(bundle / place(MEANS), (settings.passages, queries.dimension)),
                _load(bundle / place(LENGTHS), (settings.passages,)),
                VectorIndex.open(bundle / ADAPTED, settings.adapted_effort), Uses(texts.close),
            )  # fmt: skip
            for file, what, has, wants in (
                (QUERIES, "entries", queries.count, settings.queries),
                (TEXTS, "entries", texts.count, settings.queries),
                (LABELS, "queries", len(labels.indptr) - 1, settings.queries),
                (LABELS, "labels", len(labels.rows), settings.labels),
                (LABELS, "passages", len(ids), settings.passages),
                (ADAPTED, "dimensions", opened.adapted.dimension, queries.dimension),
            ):
                if has != wants:
                    raise BundleCorrupt(bundle, file, f"{has} {what}, expected {wants}")
        except BaseException:
            texts.close()
            raise
        return opened


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The known queries of an opened bundle, by rows of its snapshot; safe to share between threads."""

    files: NeighbourFiles
    settings: NeighbourSettings
    queries: VectorIndex
    texts: Passages
    labels: Labels
    scores: (
        Vectors | None
    )  # (labels,); None where passages may have other vectors than when it was adapted
    passages: int  # rows there are
    numbered: (
        Rows  # (p,) the row of each passage in the file's order, -1 for what is not there any more
    )
    rows: Rows  # (q,) passages that have labels, ascending
    mean_of: Rows  # (q,) where the mean of each of ``rows`` stands in ``means``
    means: Vectors  # (p, d)
    lengths: Vectors  # (p,)
    vectors: VectorStore | None  # of the passages, where ``scores`` is None
    use: Use

    @classmethod
    def open(
        cls, bundle: Path, settings: NeighbourSettings, passages: int, rows_of: RowsOf
    ) -> Neighbours:
        """Those of the folder ``bundle`` of so many ``passages``, all as they were when it was adapted.

        ``rows_of`` gives the rows of those of the passage ids that the bundle has. Raises BundleCorrupt.
        """
        files = NeighbourFiles.open(bundle, settings)
        try:
            numbered = rows_of_all(bundle / LABELS, files.ids, rows_of)
            if (has := files.adapted.count) != passages:
                raise BundleCorrupt(bundle, ADAPTED, f"{has} entries, expected {passages}")
        except BaseException:
            files.texts.close()
            raise
        return cls.of(files, passages, numbered, None)

    @classmethod
    def of(
        cls, files: NeighbourFiles, passages: int, numbered: Rows, vectors: VectorStore | None
    ) -> Neighbours:
        """Those of a snapshot of so many ``passages`` with rows ``numbered`` (p,), -1 where there is none.

        ``vectors`` are those of the passages; None: all are as they were when the bundle was adapted.
        """
        labels, places = files.labels.located(numbered)
        there = np.flatnonzero(numbered >= 0)
        order = there[np.argsort(numbered[there])]
        return cls(
            files, files.settings, files.queries, files.texts, labels,
            files.scores[places] if vectors is None else None, passages, numbered, numbered[order],
            order, files.means, files.lengths, vectors, Use(files.uses),
        )  # fmt: skip

    @cached_property
    def by_passage(self) -> Labels:
        """The labels transposed: rows are numbers of known queries."""
        return self.labels.transposed(self.passages)

    @cached_property
    def adapted(self) -> AdaptedIndex:
        """What finds passages by their adapted vectors.

        All of them, or where passages have changed only those that have labels: any other has its own vector.
        """
        passages, weight = self.vectors, self.settings.adapted.dense_weight
        if passages is None:
            return self.files.adapted

        def make() -> Vectors:
            plain, means = passages.vectors(self.rows), self.means_of(self.rows)[0]
            return adapted_vectors(plain, means, weight)

        return ScannedVectors(make, self.rows)

    def scores_of(self, places: Rows) -> Vectors:
        """The inner product (n,) of passage and known query of the labels at ``places`` (n,)."""
        if self.vectors is None or self.scores is not None:
            assert self.scores is not None  # noqa: S101 (one of both is there)
            return self.scores[places]
        queries = np.searchsorted(self.labels.indptr, places, side="right") - 1
        passages = self.vectors.vectors(self.labels.rows[places])
        products: Vectors = np.einsum("ij,ij->i", passages, self.queries.vectors(queries))
        return products

    def means_of(self, rows: Rows) -> tuple[Vectors, Vectors]:
        """Means (n, d) of the known queries of passages ``rows`` and lengths (n,); zeros for none."""
        if not len(self.rows):
            return np.zeros((len(rows), self.means.shape[1]), np.float32), np.zeros(
                len(rows), np.float32
            )
        places = np.searchsorted(self.rows, rows)
        places[places == len(self.rows)] = 0
        has = self.rows[places] == rows
        where = self.mean_of[places]
        means = self.means[where]
        means[~has] = 0
        return means, self.lengths[where] * has

    def close(self) -> None:
        """Close the files, once no other snapshot uses them."""
        self.use.release()


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
