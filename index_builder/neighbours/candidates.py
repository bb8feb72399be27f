"""How well settings rank: every passage that one of them could bring up, each scored exactly.

Candidates are what lies nearest to a query, what the adapted vectors bring near, and what known queries
vote for. They are found once for all settings, and scored by the formulas that searches use
(lurcher.models.neighbours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import AdaptedSettings, VotingSettings
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.neighbours.splits import JudgedQueries, Split
from lurcher.index_builder.neighbours.sums import CHUNK, label_scores, label_sums
from lurcher.models.neighbours.adapted import gated_scores, unit
from lurcher.models.neighbours.nearness import Array
from lurcher.models.neighbours.votes import Votes, boost, margin_votes, raised

MOST_NEIGHBOURS = 64  # known queries that may vote
_DEPTH = 100

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Measured:
    """Means over queries: nDCG@10, Recall@10 and Recall@100."""

    ndcg: float
    recall_10: float
    recall: float


class Candidates:
    """Every passage that a setting could rank for each query, and what decides its scores.

    Arrays are (B, W), padded: a padded place has row -1 and dense score -inf.
    """

    def __init__(self, index: VectorStore, split: Split) -> None:
        queries, known = split.queries, split.known
        self.count = len(queries.vectors)
        votes = _exact_votes(index, known, queries.vectors)
        labelled = np.unique(known.labels.rows)
        means = unit(label_sums(known, labelled))
        depth = min(_DEPTH, index.count)
        _, nearest = index.search(queries.vectors, depth)
        _, moved = faiss.knn(
            queries.vectors, means, min(_DEPTH, len(labelled)), metric=faiss.METRIC_INNER_PRODUCT
        )
        width = index.count
        first = np.arange(self.count)[:, None] * width  # (B, 1): a key is query * width + row
        voted = votes.query * width + votes.row
        keys = [(first + nearest)[nearest >= 0], (first + labelled[moved]).ravel(), voted]
        united = np.unique(np.concatenate(keys))
        of, rows = np.divmod(united, width)
        starts = np.searchsorted(of, np.arange(self.count + 1))
        column = np.arange(len(of)) - starts[of]
        self.shape = (self.count, max(depth, int(np.diff(starts).max())))
        place = of * self.shape[1] + column  # flat
        self.rows = self._padded(place, rows, -1)
        self.slot = place[np.searchsorted(united, voted)]
        self.votes = votes
        dense, mean, agreement = _scores(index, queries.vectors, of, rows, labelled, means)
        self.dense = self._padded(place, dense, -np.inf)
        self.mean, self.agreement = self._padded(place, mean, 0), self._padded(place, agreement, 0)
        self.gains = self._padded(place, _gains(queries.labels, of, rows, width), 0)
        self.ideal = _ideal(queries.labels)
        self.relevant = np.diff(queries.labels.indptr)
        self._cast: tuple[tuple[int, float, float], Array] | None = None

    def _padded(
        self, place: Rows, values: npt.NDArray[_Number], empty: float
    ) -> npt.NDArray[_Number]:
        padded = np.full(self.shape, empty, values.dtype)
        padded.ravel()[place] = values
        return padded

    def measure(self, settings: AdaptedSettings | VotingSettings | None) -> Measured:
        """How well the candidates are ranked with ``settings``; None leaves known queries out."""
        scores = self.dense
        if isinstance(settings, AdaptedSettings):
            scores = gated_scores(self.dense, self.mean, self.agreement, settings.dense_weight)
        elif settings is not None:
            votes = self._neighbour_scores(settings)
            scores = raised(self.dense, boost(votes, settings.dense_weight))
        top = np.argpartition(-scores, _cut(scores), axis=1)[:, :_DEPTH]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        gains = np.take_along_axis(self.gains, np.take_along_axis(top, order, axis=1), axis=1)
        discounts = 1 / np.log2(np.arange(2, 12))
        dcg = (gains[:, :10] * discounts[: gains.shape[1]]).sum(axis=1)
        found = gains > 0
        return Measured(
            float((dcg / self.ideal).mean()),
            float((found[:, :10].sum(axis=1) / self.relevant).mean()),
            float((found.sum(axis=1) / self.relevant).mean()),
        )

    def _neighbour_scores(self, settings: VotingSettings) -> Array:
        """The votes, (B, W); kept for the next setting, which often differs in lambda alone."""
        key = (settings.neighbours, settings.temperature, settings.margin)
        if self._cast is None or self._cast[0] != key:
            votes = self.votes.nearest(settings.neighbours)
            cast = margin_votes(votes, settings.temperature, settings.margin)
            total = np.bincount(self.slot, cast, self.shape[0] * self.shape[1])
            self._cast = key, total.astype(np.float32).reshape(self.shape)
        return self._cast[1]


def _cut(scores: Array) -> int:
    return min(_DEPTH, int(scores.shape[1])) - 1


def _exact_votes(index: VectorStore, known: JudgedQueries, vectors: Vectors) -> Votes:
    """What the nearest of all ``known`` queries to each of ``vectors`` (B, d) are labelled with."""
    most = min(MOST_NEIGHBOURS, len(known.vectors))
    near, numbers = faiss.knn(vectors, known.vectors, most, metric=faiss.METRIC_INNER_PRODUCT)
    some, which = np.unique(numbers.ravel(), return_inverse=True)
    found = known.select(some)  # the labels of others need no scores
    places, owner = found.labels.places(which)
    rows, weights = found.labels.rows[places], found.labels.weights[places]
    return Votes(near, numbers, owner, rows, label_scores(index, found)[places], weights)


def _scores(
    index: VectorStore, vectors: Vectors, of: Rows, rows: Rows, labelled: Rows, means: Vectors
) -> tuple[Array, Array, Array]:
    """<q, p>, <q, n> and <p, n> (n,) of each candidate; 0 for the last two where nothing is known."""
    dense, mean, agreement = (np.zeros(len(rows), np.float32) for _ in range(3))
    places = np.minimum(np.searchsorted(labelled, rows), len(labelled) - 1)
    has = labelled[places] == rows
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        passages, queries = index.vectors(rows[part]), vectors[of[part]]
        known = np.where(has[part, None], means[places[part]], np.float32(0))
        dense[part] = (passages * queries).sum(axis=1)
        mean[part] = (known * queries).sum(axis=1)
        agreement[part] = (known * passages).sum(axis=1)
    return dense, mean, agreement


def _gains(labels: Labels, of: Rows, rows: Rows, width: int) -> Array:
    """The grade (n,) of each candidate."""
    owner = np.repeat(np.arange(len(labels.indptr) - 1), np.diff(labels.indptr))
    judged = owner * width + labels.rows  # ascending, as both parts are
    keys = of * width + rows
    places = np.minimum(np.searchsorted(judged, keys), len(judged) - 1)
    return np.where(judged[places] == keys, labels.weights[places], np.float32(0))


def _ideal(labels: Labels) -> Array:
    """The DCG@10 (B,) of the best ranking there is."""
    counts = np.diff(labels.indptr)
    owner = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-labels.weights, owner))
    rank = np.arange(len(order)) - labels.indptr[:-1][owner]
    gain = np.where(rank < 10, labels.weights[order] / np.log2(rank + 2), 0)
    return np.bincount(owner, gain, len(counts)).astype(np.float32)
