"""The search stage: what lies nearest to a query, and what known queries say of it.

``adapted`` searches the adapted vectors; ``voting`` lets the nearest known queries vote for their
passages, and scores the union of what both found, exactly (models.neighbours has the formulas). What a
running server has learnt meanwhile counts in either as if it were in the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import AdaptedSettings, Mode, VotingSettings
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.feedback.online import OnlineIndex
from lurcher.models.errors import FieldError, LurcherError
from lurcher.models.neighbours.adapted import adapted_scores, unit
from lurcher.models.neighbours.votes import Votes, margin_votes, mix

AskedMode = Mode | Literal["auto"]
RankMode = Literal["auto", "off", "maxsim", "decoder", "reader"]

# How deep each of both sides looks, at least, where they are mixed anew.
_DEPTH = 100
# Known queries that are named for a hit, and at most looked at for it.
_NAMED, _LOOKED_AT = 3, 1_000


@dataclass(frozen=True, slots=True)
class Query:
    """What one search asks; ``dense_weight`` is lambda, None what was tuned.

    ``candidates`` are ranked, None: as many as is usual. After ``until``, on the clock of perf_counter,
    ranking is left out. ``matches`` asks which tokens met, where hits were ranked.
    """

    text: str
    top_k: int = 10
    conditions: tuple[Condition, ...] = ()
    mode: AskedMode = "auto"
    dense_weight: float | None = None
    explain: bool = False
    rank: RankMode = "auto"
    candidates: int | None = None
    until: float | None = None
    matches: bool = False


@dataclass(frozen=True, slots=True)
class Spoke:
    """A known query that spoke for a hit: ``share`` is its part of the neighbour score."""

    id: str
    text: str
    similarity: float
    share: float


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows of passages with scores (n,), best first.

    ``neighbours`` and ``mixed`` are there if known queries were asked, ``late`` and ``rank`` if the hits were
    ranked; ``dense_weight`` (n,) is what ``dense`` counts in ``mixed``, None: all. ``who`` tells of a row
    which known queries spoke for it, if that was asked.
    """

    rows: Rows
    dense: Vectors
    neighbours: Vectors | None = None
    mixed: Vectors | None = None
    who: Callable[[int], list[Spoke]] | None = None
    dense_weight: Vectors | None = None
    late: Vectors | None = None
    rank: Vectors | None = None

    @property
    def best(self) -> Vectors:
        """What the hits are ordered by: the last stage's scores."""
        if self.rank is not None:
            return self.rank
        return self.dense if self.mixed is None else self.mixed

    @property
    def spoke(self) -> list[list[Spoke]] | None:
        """Which known queries spoke for each hit, if that was asked.

        It is found out only now: of a hundred candidates ten are hits.
        """
        return None if self.who is None else [self.who(row) for row in self.rows.tolist()]

    def take(self, places: Rows) -> Hits:
        """Those at ``places``, in that order."""

        def of(scores: Vectors | None) -> Vectors | None:
            return None if scores is None else scores[places]

        return Hits(
            self.rows[places], self.dense[places], of(self.neighbours), of(self.mixed), self.who,
            of(self.dense_weight), of(self.late), of(self.rank),
        )  # fmt: skip


class Searching:
    """A bundle's vectors and known queries; call it from one thread at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known = bundle.neighbours
        self.online = OnlineIndex(
            bundle.vectors.dimension, bundle.passages.rows_of, bundle.vectors.vectors
        )
        self._xs = self._known.settings.adapted if self._known else AdaptedSettings()
        self._xl = self._known.settings.voting if self._known else VotingSettings()

    def run(self, queries: Sequence[Query], vectors: Vectors) -> list[Hits | LurcherError]:
        """The hits of each query, whose vectors are (B, d); an error in the place of one at fault."""
        hits: list[Hits | LurcherError] = [_NOTHING] * len(queries)
        by_mode: dict[Mode | Literal["live"], list[int]] = {}
        for place, query in enumerate(queries):
            try:
                by_mode.setdefault(self._mode(query), []).append(place)
            except FieldError as error:
                hits[place] = error
        for mode, places in by_mode.items():
            asked, theirs = [queries[i] for i in places], vectors[places]
            search = {
                "off": self._plain, "adapted": self._adapted, "voting": self._voted, "live": self._learnt,
            }[mode]  # fmt: skip
            for place, found in zip(places, search(asked, theirs), strict=True):
                hits[place] = found
        return hits

    def _mode(self, query: Query) -> Mode | Literal["live"]:
        """The mode of ``query``; ``live`` lets only those vote that were learnt since the bundle was made.

        Raises FieldError for one that the bundle is not made for.
        """
        learnt: Literal["live", "off"] = "live" if len(self.online) else "off"
        if query.mode == "auto":
            tuned = "off" if self._known is None else self._known.settings.mode
            return learnt if tuned == "off" else tuned
        if self._known is not None or query.mode == "off":
            return query.mode
        if query.mode == "voting":
            return learnt
        reason = "this bundle has no known queries to adapt its passages to: see `lurcher adapt`"
        raise FieldError("pefa.mode", reason)

    def _plain(self, queries: Sequence[Query], vectors: Vectors) -> list[Hits | LurcherError]:
        found = self._nearest(self._bundle.vectors, queries, vectors, [q.top_k for q in queries])
        return [hit if isinstance(hit, LurcherError) else Hits(hit[1], hit[0]) for hit in found]

    def _adapted(self, queries: Sequence[Query], vectors: Vectors) -> list[Hits | LurcherError]:
        assert self._known is not None  # noqa: S101 (_mode let none other through)
        learnt = len(self.online) > 0
        # The index is made for one lambda; another, or what was learnt since, changes the order.
        as_built = [not learnt and q.dense_weight in (None, self._xs.dense_weight) for q in queries]
        depths = [
            q.top_k if same else max(q.top_k, _DEPTH)
            for q, same in zip(queries, as_built, strict=True)
        ]
        found = self._nearest(self._known.adapted, queries, vectors, depths)
        votes = self._votes(vectors, self._xl.neighbours) if learnt else None
        hits: list[Hits | LurcherError] = []
        for i, (query, hit) in enumerate(zip(queries, found, strict=True)):
            if isinstance(hit, LurcherError):
                hits.append(hit)
            elif as_built[i]:
                hits.append(self._as_built(query, vectors[i], *hit))
            else:
                spoken_for = _NO_ROWS if votes is None else votes.row[votes.query == i]
                hits.append(self._moved(query, vectors[i], depths[i], hit[1], spoken_for))
        return hits

    def _as_built(self, query: Query, vector: Vectors, scores: Vectors, rows: Rows) -> Hits:
        """What the adapted index found, with the two sides of its scores."""
        dense, means = self._bundle.vectors.vectors(rows) @ vector, self._means(rows)
        return Hits(
            rows,
            dense,
            means @ vector,
            scores,
            self._knowing(query, vector),
            _weights(means, self._xs.dense_weight),
        )

    def _moved(
        self, query: Query, vector: Vectors, depth: int, adapted: Rows, spoken_for: Rows
    ) -> Hits:
        """The hits of all that could be one, each passage moved towards its known queries now.

        That is what the plain and the ``adapted`` index find, and what known queries are labelled with.
        """
        (plain,) = self._nearest(self._bundle.vectors, [query], vector[None], [depth])
        assert not isinstance(plain, LurcherError)  # noqa: S101 (the same filter has passed)
        rows = np.unique(
            np.concatenate([adapted, plain[1], spoken_for[self._passing(query, spoken_for)]])
        )
        passages, means = self._bundle.vectors.vectors(rows), self._means(rows)
        dense, mean = passages @ vector, means @ vector
        weight = self._xs.dense_weight if query.dense_weight is None else query.dense_weight
        agreement = (passages * means).sum(axis=1)
        mixed = np.where(means.any(axis=1), adapted_scores(dense, mean, agreement, weight), dense)
        best = np.argsort(-mixed, kind="stable")[: query.top_k]
        who = self._knowing(query, vector)
        weights = _weights(means[best], weight)
        return Hits(rows[best], dense[best], mean[best], mixed[best], who, weights)

    def _means(self, rows: Rows) -> Vectors:
        """The mean directions (n, d) of the known queries of ``rows``; zeros for none."""
        assert self._known is not None  # noqa: S101 (as in _adapted)
        means, lengths = self._known.means_of(rows)
        for place, row in enumerate(rows.tolist()) if len(self.online) else ():
            if self.online.has(row):
                means[place] = unit(lengths[place] * means[place] + self.online.sum_of(row))
        return means

    def _knowing(self, query: Query, vector: Vectors) -> Callable[[int], list[Spoke]] | None:
        return partial(self._known_of, vector) if query.explain else None

    def _voted(self, queries: Sequence[Query], vectors: Vectors) -> list[Hits | LurcherError]:
        votes = self._votes(vectors, self._xl.neighbours)
        return self._mixed(queries, vectors, votes, self._xl)

    def _learnt(self, queries: Sequence[Query], vectors: Vectors) -> list[Hits | LurcherError]:
        untuned = VotingSettings()
        votes = self._votes(vectors, untuned.neighbours, of_bundle=False)
        return self._mixed(queries, vectors, votes, untuned)

    def _mixed(
        self, queries: Sequence[Query], vectors: Vectors, votes: Votes, settings: VotingSettings
    ) -> list[Hits | LurcherError]:
        # Votes only raise scores, so of those without any no more than top_k can be hits.
        depths = [query.top_k for query in queries]
        found = self._nearest(self._bundle.vectors, queries, vectors, depths)
        cast = margin_votes(votes, settings.temperature, settings.margin)
        said = cast > 0
        asker, row, cast = votes.query[said], votes.row[said], cast[said]
        # One number for each passage of each query, so that one pass unites what both sides found.
        width = self._bundle.vectors.count
        keys = [asker * width + row]
        scores = []
        for place, hit in enumerate(found):
            if not isinstance(hit, LurcherError):
                keys.append(place * width + hit[1])
                scores.append(hit[0])
        united, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        neighbours = np.bincount(inverse[: len(cast)], cast, len(united)).astype(np.float32)
        dense = np.full(len(united), np.nan, np.float32)
        dense[inverse[len(cast) :]] = np.concatenate([*scores, _NO_SCORES])
        of, rows = np.divmod(united, width)
        missing = np.isnan(dense)
        passages = self._bundle.vectors.vectors(rows[missing])
        dense[missing] = (passages * vectors[of[missing]]).sum(axis=1)
        tuned = settings.dense_weight
        weights = [tuned if q.dense_weight is None else q.dense_weight for q in queries]
        mixed = mix(dense, neighbours, np.array(weights, np.float32)[of])
        order = np.lexsort((-dense, -mixed, of))  # where only votes count, most passages have none
        starts = np.searchsorted(of[order], np.arange(len(queries) + 1))
        hits: list[Hits | LurcherError] = []
        for place, (query, hit) in enumerate(zip(queries, found, strict=True)):
            if isinstance(hit, LurcherError):
                hits.append(hit)
                continue
            theirs = order[starts[place] : starts[place + 1]]
            theirs = theirs[self._passing(query, rows[theirs])]
            best = theirs[: query.top_k]
            who = None
            if query.explain:
                mine = np.flatnonzero(said)[asker == place]
                who = partial(self._voters, votes, mine, cast[asker == place])
            weight = np.full(len(best), weights[place], np.float32)
            hits.append(Hits(rows[best], dense[best], neighbours[best], mixed[best], who, weight))
        return hits

    def _votes(self, vectors: Vectors, k: int, of_bundle: bool = True) -> Votes:
        """What the ``k`` known queries nearest to each of ``vectors`` (B, d) are labelled with."""
        count = len(vectors)
        similarities, numbers = (
            [np.full((count, 0), -np.inf, np.float32)],
            [np.zeros((count, 0), int)],
        )
        base = 0 if self._known is None else self._known.queries.count
        if self._known is not None and of_bundle:
            near, which = self._known.queries.search(vectors, min(k, base))
            similarities.append(np.where(which < 0, -np.inf, near).astype(np.float32))
            numbers.append(which)
        if len(self.online):
            near, which = self.online.search(vectors, k)
            similarities.append(near)
            numbers.append(which + base)
        merged, named = np.concatenate(similarities, axis=1), np.concatenate(numbers, axis=1)
        if len(similarities) > 2:
            order = np.argsort(-merged, axis=1, kind="stable")[:, :k]
            merged = np.take_along_axis(merged, order, axis=1)
            named = np.take_along_axis(named, order, axis=1)
        parts: list[tuple[npt.NDArray[np.generic], ...]] = []
        flat = np.flatnonzero(np.isfinite(merged))
        which = named.ravel()[flat]
        if self._known is not None:
            inside = which < base
            places, owner = self._known.labels.places(which[inside])
            labels = self._known.labels
            parts.append(
                (
                    flat[inside][owner], labels.rows[places], self._known.scores[places],
                    labels.weights[places],
                )
            )  # fmt: skip
            flat, which = flat[~inside], which[~inside]
        learnt = [
            (place, *label)
            for place, number in zip(flat.tolist(), (which - base).tolist(), strict=True)
            for label in self.online.labels(number)
        ]
        parts.append(tuple(np.array(column) for column in zip(*learnt, strict=True)) or _NO_VOTES)
        neighbour, row, score, label = (np.concatenate(c) for c in zip(*parts, strict=True))
        return Votes(
            merged, named, neighbour.astype(np.int64), row.astype(np.int64),
            score.astype(np.float32), label.astype(np.float32),
        )  # fmt: skip

    def _nearest(
        self, index: VectorIndex, queries: Sequence[Query], vectors: Vectors, depths: Sequence[int]
    ) -> list[tuple[Vectors, Rows] | LurcherError]:
        """Scores and rows of each query in ``index``, best first, at most its depth of them."""
        found: list[tuple[Vectors, Rows] | LurcherError] = []
        for query, vector, depth in zip(queries, vectors, depths, strict=True):
            try:
                found.append(
                    index.search_among(vector, depth, self._allowed(query.conditions))
                    if query.conditions
                    else (_NO_SCORES, _NO_ROWS)
                )
            except LurcherError as error:
                found.append(error)
        # By depth: a graph searched deeper finds more, and a query's hits must not depend on its company.
        for depth in {d for d, query in zip(depths, queries, strict=True) if not query.conditions}:
            alike = [
                i for i, query in enumerate(queries) if depths[i] == depth and not query.conditions
            ]
            scores, rows = index.search(vectors[alike], min(index.count, depth))
            for i, score, row in zip(alike, scores, rows, strict=True):
                found[i] = score[row >= 0], row[row >= 0]
        return found

    # A page of results, or a user's own documents: the same filter comes again and again.
    @lru_cache(maxsize=16)  # noqa: B019 (it lives as long as its process)
    def _allowed(self, conditions: tuple[Condition, ...]) -> Rows:
        return self._bundle.passages.rows(conditions)

    def _passing(self, query: Query, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of ``rows`` (n,) the filter of ``query`` lets through."""
        if not query.conditions:
            return np.ones(len(rows), bool)
        return np.isin(rows, self._allowed(query.conditions))

    def _voters(self, votes: Votes, mine: Rows, cast: Vectors, row: int) -> list[Spoke]:
        """Who of the entries ``mine`` spoke most for the passage ``row``, by what they cast."""
        here = np.flatnonzero(votes.row[mine] == row)
        best = here[np.argsort(-cast[here], kind="stable")]
        neighbour = votes.neighbour[mine[best[:_NAMED]]]
        shares = cast[best[:_NAMED]] / cast[here].sum() if len(here) else cast[:0]
        return self._named(
            votes.numbers.ravel()[neighbour], votes.similarities.ravel()[neighbour], shares
        )

    def _known_of(self, vector: Vectors, row: int) -> list[Spoke]:
        """Which known queries of the passage ``row`` spoke most: by label and similarity."""
        assert self._known is not None  # noqa: S101 (as in _adapted)
        base = self._known.queries.count
        places = slice(*self._known.by_passage.indptr[row : row + 2])
        numbers = self._known.by_passage.rows[places][:_LOOKED_AT]
        labels = self._known.by_passage.weights[places][:_LOOKED_AT]
        vectors = [self._known.queries.vectors(numbers)]
        learnt = self.online.known_of(row)[:_LOOKED_AT]
        if learnt:
            vectors.append(self.online.vectors([number for number, _ in learnt]))
            numbers = np.concatenate([numbers, [base + number for number, _ in learnt]])
            labels = np.concatenate([labels, [label for _, label in learnt]])
        similarities = np.concatenate(vectors) @ vector
        said = labels * np.maximum(similarities, 0)
        best = np.argsort(-said, kind="stable")[:_NAMED]
        shares = said[best] / max(float(said.sum()), 1e-12)
        return self._named(numbers[best], similarities[best], shares)

    def _named(self, numbers: Rows, similarities: Vectors, shares: Vectors) -> list[Spoke]:
        base = 0 if self._known is None else self._known.queries.count
        spoke = []
        for number, similarity, share in zip(
            numbers.tolist(), similarities.tolist(), shares.tolist(), strict=True
        ):
            if self._known is not None and number < base:
                known = self._known.texts.get([number])[0]
                spoke.append(Spoke(known.id, known.text, similarity, share))
            else:
                spoke.append(Spoke("", self.online.text(number - base), similarity, share))
        return spoke


def _weights(means: Vectors, weight: float) -> Vectors:
    """What the passages' own scores count in adapted mode (n,): all, where no known query has moved them."""
    return np.where(means.any(axis=1), np.float32(weight), np.float32(1))


_NO_SCORES, _NO_ROWS = np.zeros(0, np.float32), np.zeros(0, np.int64)
_NO_VOTES = (_NO_ROWS, _NO_ROWS, _NO_SCORES, _NO_SCORES)
_NOTHING = Hits(_NO_ROWS, _NO_SCORES)
