"""Known queries as a retriever (PEFA): the nearest vote for the passages that were judged relevant to them.

Known queries are those of the bundle, and those that a running server has learnt since; numbers from the
bundle's count on are the latter's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lurcher.bundle.neighbours import Neighbours, VotingSettings
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import OnlineIndex
from lurcher.models.batches import Pause
from lurcher.models.neighbours.adapted import unit
from lurcher.models.neighbours.nearness import own_similarities
from lurcher.models.neighbours.votes import Votes, margin_votes
from lurcher.retrieval.query import Candidates, QueryFeatures
from lurcher.retrieval.results import ContributingNeighbour

# Known queries that are named for a hit, and how many are looked at to find them.
_NAMED, _LOOKED_AT = 3, 1_000


class KnownQueries:
    """Known queries of a bundle and of a running server; call it from one thread at a time."""

    def __init__(
        self, bundle: Neighbours | None, online: OnlineIndex, common: Vectors | None = None
    ) -> None:
        """``common`` (d,) is the direction that all words have in common, None for none."""
        self._bundle, self._online, self._common = bundle, online, common
        self._base = 0 if bundle is None else bundle.queries.count

    def means(self, rows: Rows) -> Vectors:
        """The mean directions (n, d) of the known queries of ``rows`` (n,); zeros where there are none."""
        assert self._bundle is not None  # noqa: S101 (adapted mode is planned only with known queries)
        means, lengths = self._bundle.means_of(rows)
        for place, row in enumerate(rows.tolist()) if len(self._online) else ():
            if self._online.has(row):
                means[place] = unit(lengths[place] * means[place] + self._online.sum_of(row))
        return means

    def contributing_to_mean(self, vector: Vectors, row: int) -> list[ContributingNeighbour]:
        """The known queries of the passage in ``row`` that count most, by label and similarity."""
        assert self._bundle is not None  # noqa: S101 (as in means)
        by_passage = self._bundle.by_passage
        places = slice(*by_passage.indptr[row : row + 2])
        numbers = by_passage.rows[places][:_LOOKED_AT]
        labels = by_passage.weights[places][:_LOOKED_AT]
        vectors = [self._bundle.queries.vectors(numbers)]
        learnt = self._online.known_of(row)[:_LOOKED_AT]
        if learnt:
            vectors.append(self._online.vectors([number for number, _ in learnt]))
            numbers = np.concatenate([numbers, [self._base + number for number, _ in learnt]])
            labels = np.concatenate([labels, [label for _, label in learnt]])
        similarities = np.concatenate(vectors) @ vector
        weights = labels * np.maximum(similarities, 0)
        best = np.argsort(-weights, kind="stable")[:_NAMED]
        shares = weights[best] / max(float(weights.sum()), 1e-12)
        return self.named(numbers[best], similarities[best], shares)

    def votes(self, vectors: Vectors, k: int, of_bundle: bool) -> Votes:
        """What the ``k`` known queries nearest to each of ``vectors`` (B, d) are labelled with.

        Without ``of_bundle`` only those count that were learnt since the bundle was made.
        """
        similarities = [np.full((len(vectors), 0), -np.inf, np.float32)]
        numbers: list[Rows] = [np.zeros((len(vectors), 0), np.int64)]
        if self._bundle is not None and of_bundle:
            near, which = self._nearest(self._bundle.queries, vectors, min(k, self._base))
            similarities.append(near)
            numbers.append(which)
        if len(self._online):
            near, which = self._online.search(vectors, k)
            similarities.append(near)
            numbers.append(which + self._base)
        merged, named = np.concatenate(similarities, axis=1), np.concatenate(numbers, axis=1)
        if len(similarities) > 2:
            order = np.lexsort((named, -merged), axis=1)[:, :k]
            merged = np.take_along_axis(merged, order, axis=1)
            named = np.take_along_axis(named, order, axis=1)
        votes = Votes(merged, named, *self._labels(merged, named))
        if self._common is None or not merged.size:
            return votes
        known = self._products(named, np.isfinite(merged), self._common)
        own = own_similarities(merged, (vectors @ self._common)[:, None], known)
        return replace(votes, own=own)

    def _products(self, numbers: Rows, some: npt.NDArray[np.bool_], vector: Vectors) -> Vectors:
        """The inner products (B, k) of known queries with ``vector`` (d,), 0 but for ``some``."""
        products = np.zeros(numbers.shape, np.float32)
        inside = some & (numbers < self._base)
        if self._bundle is not None and inside.any():
            products[inside] = self._bundle.queries.vectors(numbers[inside]) @ vector
        outside = some & ~inside
        if outside.any():
            learnt = self._online.vectors((numbers[outside] - self._base).tolist())
            products[outside] = learnt @ vector
        return products

    @staticmethod
    def _nearest(index: VectorStore, vectors: Vectors, k: int) -> tuple[Vectors, Rows]:
        """Similarities and numbers (B, k) of what ``index`` finds, -inf and -1 for none."""
        near = np.full((len(vectors), k), -np.inf, np.float32)
        which = np.full((len(vectors), k), -1, np.int64)
        for place, (scores, numbers) in enumerate(index.top(vectors, k)):
            near[place, : len(scores)], which[place, : len(numbers)] = scores, numbers
        return near, which

    def _labels(self, similarities: Vectors, numbers: Rows) -> tuple[Rows, Rows, Vectors, Vectors]:
        """Every label of the known queries ``numbers`` (B, k), as the last four columns of ``Votes``."""
        flat = np.flatnonzero(np.isfinite(similarities))
        which = numbers.ravel()[flat]
        parts: list[tuple[npt.NDArray[np.generic], ...]] = []
        if self._bundle is not None:
            inside = which < self._base
            labels = self._bundle.labels
            places, owner = labels.places(which[inside])
            scores = self._bundle.scores_of(places)
            parts.append((flat[inside][owner], labels.rows[places], scores, labels.weights[places]))
            flat, which = flat[~inside], which[~inside]
        learnt = [
            (place, *label)
            for place, number in zip(flat.tolist(), (which - self._base).tolist(), strict=True)
            for label in self._online.labels(number)
        ]
        parts.append(tuple(np.array(column) for column in zip(*learnt, strict=True)) or _NO_LABELS)
        neighbour, row, score, label = (np.concatenate(c) for c in zip(*parts, strict=True))
        return (
            neighbour.astype(np.int64), row.astype(np.int64),
            score.astype(np.float32), label.astype(np.float32),
        )  # fmt: skip

    def named(
        self, numbers: Rows, similarities: Vectors, shares: Vectors
    ) -> list[ContributingNeighbour]:
        """Known queries by number (n,), with their similarities and shares (n,)."""
        named = []
        for number, similarity, share in zip(
            numbers.tolist(), similarities.tolist(), shares.tolist(), strict=True
        ):
            if self._bundle is not None and number < self._base:
                known = self._bundle.texts.get([number])[0]
                named.append(ContributingNeighbour(known.id, known.text, similarity, share))
            else:
                text = self._online.text(number - self._base)
                named.append(ContributingNeighbour("", text, similarity, share))
        return named


class VotingRetriever:
    """Finds the passages that known queries near a query are labelled with (PEFA-XL).

    The column ``neighbours`` is the sum of their votes, 0 where all of them are too far.
    """

    def __init__(self, known: KnownQueries, settings: VotingSettings, of_bundle: bool) -> None:
        self._known, self._settings, self._of_bundle = known, settings, of_bundle

    def search(
        self,
        features: Sequence[QueryFeatures],
        depths: Sequence[int],  # noqa: ARG002 (all that are voted for are found, however many)
        allow: Sequence[Rows | None],
    ) -> list[Candidates]:
        """As ``Retriever.search``, but in the order of rows, and however many there are."""
        votes, cast = self._votes(np.stack([one.vector for one in features]))
        found = []
        for place, allowed in enumerate(allow):
            mine = votes.query == place
            rows, owner = np.unique(votes.row[mine], return_inverse=True)
            scores = np.bincount(owner, cast[mine], len(rows)).astype(np.float32)
            candidates = Candidates(rows, {"neighbours": scores})
            if allowed is not None:
                candidates = candidates.take(np.flatnonzero(np.isin(rows, allowed)))
            found.append(candidates)
        return found

    def contributing(
        self, vector: Vectors, rows: Rows, pause: Pause | None = None
    ) -> list[list[ContributingNeighbour]]:
        """The known queries that voted most for each of the passages in ``rows`` (C,)."""
        votes, cast = self._votes(vector[None])
        contributing = []
        for row in rows.tolist():
            if pause is not None:
                pause()
            here = np.flatnonzero((votes.row == row) & (cast > 0))
            best = here[np.argsort(-cast[here], kind="stable")][:_NAMED]
            neighbour = votes.neighbour[best]
            shares = cast[best] / cast[here].sum() if len(here) else cast[:0]
            contributing.append(
                self._known.named(
                    votes.numbers.ravel()[neighbour], votes.similarities.ravel()[neighbour], shares
                )
            )
        return contributing

    def _votes(self, vectors: Vectors) -> tuple[Votes, Vectors]:
        settings = self._settings
        votes = self._known.votes(vectors, settings.neighbours, self._of_bundle)
        return votes, margin_votes(votes, settings.temperature, settings.margin)


_NO_LABELS = (
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32),
)  # fmt: skip
