"""Which of PEFA's modes a bundle should use, and with which settings: tried on queries with known answers.

Two sets of queries are asked. The *development* queries say how much is won. The *unseen* ones say what
is lost where nobody asked before: known queries whose passages, all of them, are stripped of every known
query for the trial. Among the settings that keep enough on the unseen ones, the best on development
queries wins; "off" wins where none is better.

A trial ranks candidates: what lies nearest to a query, and all passages that any of the settings could
bring up, each scored exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import product
from typing import TypeVar

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import Mode, Trial, XlSettings, XsSettings
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.models.neighbours.adapted import unit, xs_scores
from lurcher.models.neighbours.votes import Votes, margin_votes, mix

_DEPTH = 100
# Parts of the known queries that are held out in turn to tune on; and at most so many of either set.
_FIFTHS, _MOST = 5, 1_000
# Parts of the passages that are made unknown in turn; and queries below which their loss is chance.
_TENTHS, _LEAST_UNSEEN, _NEARLY_ALL = 10, 100, 0.95

# Of many settings one is always a little better by chance.
_WORTH = 1.01
_SAFE_MARGIN = 0.1

_XS_WEIGHTS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
_NEIGHBOURS = (4, 16, 64)
_TEMPERATURES = (0.05, 0.1, 0.2)
_MARGINS = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
_XL_WEIGHTS = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

Grades = npt.NDArray[np.float32]
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class KnownQueries:
    """Known queries as arrays: ``vectors`` (m, d) and the labels of each."""

    vectors: Vectors
    labels: Labels

    def select(self, numbers: Rows) -> KnownQueries:
        """Those of ``numbers`` alone."""
        return KnownQueries(self.vectors[numbers], self.labels.select(numbers))


@dataclass(frozen=True)
class Question:
    """Queries to try settings on: what is known, who asks, and what is relevant."""

    known: KnownQueries
    asked: KnownQueries  # labels: relevance


def sample(count: int, seed: int) -> Rows:
    """At most as many of ``count`` queries as are worth asking, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST])


def hold_out(known: KnownQueries, asking: Vectors, texts: Rows, seed: int) -> list[Question]:
    """The known queries as if they were new, a fifth of the texts at a time, until enough are asked.

    ``asking`` (m, d) are their vectors as searches encode them, ``texts`` (m,) says which are the same.
    """
    order = np.random.default_rng(seed).permutation(int(texts.max()) + 1)
    questions, asked = [], 0
    for fifth in np.array_split(order, _FIFTHS):
        if asked >= _MOST:
            break
        held = np.flatnonzero(np.isin(texts, fifth))[: _MOST - asked]
        left = np.flatnonzero(~np.isin(texts, texts[held]))
        new = KnownQueries(asking[held], known.labels.select(held))
        questions.append(Question(known.select(left), new))
        asked += len(held)
    return questions


def make_unseen(
    known: KnownQueries, asking: Vectors, passages: int, seed: int
) -> list[Question] | None:
    """Known queries none of whose passages is known any more: one question for each tenth hidden.

    As many tenths as it takes to ask enough; None where even all of them are too few to tell. No
    question where nearly all of so many ``passages`` have a known query: little is left to protect.
    ``asking`` (m, d) are the vectors of the known queries as searches encode them.
    """
    labels, generator = known.labels, np.random.default_rng(seed)
    labelled = np.unique(labels.rows)
    if len(labelled) > _NEARLY_ALL * passages:
        return []
    hidden = np.array_split(generator.permutation(labelled), _TENTHS)
    had, asked, questions = np.diff(labels.indptr), 0, []
    for rows in hidden:
        if asked >= _MOST:
            break
        left = labels.without_passages(rows)
        has = np.diff(left.indptr)
        unseen = np.flatnonzero((had > 0) & (has == 0))
        rest = np.flatnonzero(has > 0)
        if len(unseen) and len(rest):
            some = np.sort(generator.permutation(unseen)[: _MOST - asked])
            left_known = KnownQueries(known.vectors[rest], left.select(rest))
            questions.append(Question(left_known, KnownQueries(asking[some], labels.select(some))))
            asked += len(some)
    return questions if asked >= _LEAST_UNSEEN else None


@dataclass(frozen=True)
class Choice:
    """What won, each mode's best settings, and how they did."""

    mode: Mode
    xs: XsSettings
    xl: XlSettings
    trials: list[Trial]


def choose(
    index: VectorIndex, development: Sequence[Question], unseen: Sequence[Question] | None,
    keep: float,
) -> Choice:  # fmt: skip
    """The best mode and settings of each over the passages of ``index``.

    ``keep`` is the share of the bare nDCG@10, Recall@10 and Recall@100 to be kept on unseen queries.
    Where ``unseen`` is None, nobody knows, and only settings are tried that have never been seen to lose
    much: votes with a margin.
    """
    seen = [_Candidates(index, question) for question in development]
    hidden = [_Candidates(index, question) for question in unseen or ()]

    def trial_of(mode: Mode, setting: XsSettings | XlSettings | None) -> Trial:
        return _trial(mode, _mean(seen, setting), _mean(hidden, setting))

    def tried(mode: Mode, settings: Sequence[XsSettings | XlSettings]) -> tuple[int, Trial]:
        """The place of the best of ``settings`` that keep enough, or of what keeps most."""
        trials = [trial_of(mode, setting) for setting in settings]
        keeping = [i for i, trial in enumerate(trials) if _kept(trial, off) >= keep]
        if keeping:
            place = max(keeping, key=lambda i: trials[i].ndcg)
        else:
            place = max(range(len(trials)), key=lambda i: _kept(trials[i], off))
        return place, trials[place]

    off = trial_of("off", None)
    xs_grid = [XsSettings(dense_weight=w) for w in _XS_WEIGHTS]
    xl_grid = [s for s in _xl_grid() if unseen is not None or s.margin >= _SAFE_MARGIN]
    xs_place, xs = tried("xs", xs_grid)
    xl_place, xl = tried("xl", xl_grid)
    trials = [off, xs, xl]
    safe = (xl,) if unseen is None else (xs, xl)
    worth = [t for t in safe if _kept(t, off) >= keep and t.ndcg >= _WORTH * off.ndcg]
    best = max(worth, key=lambda trial: trial.ndcg, default=off)  # of equal ones the simpler, xs
    return Choice(best.mode, xs_grid[xs_place], xl_grid[xl_place], trials)


def _xl_grid() -> Iterator[XlSettings]:
    grid = product(_NEIGHBOURS, _TEMPERATURES, _MARGINS, _XL_WEIGHTS)
    for neighbours, temperature, margin, weight in grid:
        yield XlSettings(
            neighbours=neighbours, temperature=temperature, margin=margin, dense_weight=weight
        )


@dataclass(frozen=True)
class _Measured:
    ndcg: float
    recall_10: float
    recall: float


def _mean(
    parts: Sequence[_Candidates], settings: XsSettings | XlSettings | None
) -> _Measured | None:
    """The mean over the queries of all ``parts``; None if there are none."""
    if not parts:
        return None
    values = [astuple(part.measure(settings)) for part in parts]
    return _Measured(*np.average(values, axis=0, weights=[p.count for p in parts]).tolist())


def _trial(mode: Mode, seen: _Measured | None, unseen: _Measured | None) -> Trial:
    assert seen is not None  # noqa: S101 (there are development queries)
    return Trial(
        mode=mode,
        ndcg=seen.ndcg,
        recall=seen.recall,
        unseen_ndcg=None if unseen is None else unseen.ndcg,
        unseen_recall_10=None if unseen is None else unseen.recall_10,
        unseen_recall=None if unseen is None else unseen.recall,
    )


def _kept(trial: Trial, off: Trial) -> float:
    """The share of the bare figures on unseen queries that ``trial`` keeps, of the worst kept one."""
    pairs = (
        (trial.unseen_ndcg, off.unseen_ndcg),
        (trial.unseen_recall_10, off.unseen_recall_10),
        (trial.unseen_recall, off.unseen_recall),
    )
    return min((has / had for has, had in pairs if has is not None and had), default=1.0)


class _Candidates:
    """Every passage that a setting could rank for each asked query, and what decides its scores.

    Arrays are (B, W), padded: a padded place has row -1 and dense score -inf.
    """

    def __init__(self, index: VectorIndex, question: Question) -> None:
        asked, known = question.asked, question.known
        self.count = len(asked.vectors)
        votes = _exact_votes(index, known, asked.vectors)
        labelled = np.unique(known.labels.rows)
        means = unit(sums(known, labelled))
        depth = min(_DEPTH, index.count)
        _, nearest = index.search(asked.vectors, depth)
        _, moved = faiss.knn(
            asked.vectors, means, min(_DEPTH, len(labelled)), metric=faiss.METRIC_INNER_PRODUCT
        )
        width = index.count
        asker = np.arange(self.count)[:, None]
        keys = [(asker * width + nearest)[nearest >= 0], (asker * width + labelled[moved]).ravel(),
                votes.query * width + votes.row]  # fmt: skip
        united = np.unique(np.concatenate(keys))
        of, rows = np.divmod(united, width)
        starts = np.searchsorted(of, np.arange(self.count + 1))
        column = np.arange(len(of)) - starts[of]
        self.shape = (self.count, max(depth, int(np.diff(starts).max())))
        place = of * self.shape[1] + column  # flat
        self.rows = self._padded(place, rows, -1)
        self.slot = place[np.searchsorted(united, votes.query * width + votes.row)]
        self.votes = votes
        dense, mean, agreement = _scores(index, asked.vectors, of, rows, labelled, means)
        self.dense = self._padded(place, dense, -np.inf)
        self.mean, self.agreement = self._padded(place, mean, 0), self._padded(place, agreement, 0)
        self.labelled = np.isin(self.rows, labelled)
        self.gains = self._padded(place, _gains(asked.labels, of, rows, width), 0)
        self.ideal = _ideal(asked.labels)
        self.relevant = np.diff(asked.labels.indptr)
        self._cast: tuple[tuple[int, float, float], Grades] | None = None

    def _padded(
        self, place: Rows, values: npt.NDArray[_Number], empty: float
    ) -> npt.NDArray[_Number]:
        padded = np.full(self.shape, empty, values.dtype)
        padded.ravel()[place] = values
        return padded

    def measure(self, settings: XsSettings | XlSettings | None) -> _Measured:
        """How well the candidates are ranked with ``settings``; None leaves known queries out."""
        scores = self.dense
        if isinstance(settings, XsSettings):
            moved = xs_scores(self.dense, self.mean, self.agreement, settings.dense_weight)
            scores = np.where(self.labelled, moved, self.dense)
        elif settings is not None:
            scores = mix(self.dense, self._neighbour_scores(settings), settings.dense_weight)
        top = np.argpartition(-scores, _cut(scores), axis=1)[:, :_DEPTH]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        gains = np.take_along_axis(self.gains, np.take_along_axis(top, order, axis=1), axis=1)
        discounts = 1 / np.log2(np.arange(2, 12))
        dcg = (gains[:, :10] * discounts[: gains.shape[1]]).sum(axis=1)
        found = gains > 0
        return _Measured(
            float((dcg / self.ideal).mean()),
            float((found[:, :10].sum(axis=1) / self.relevant).mean()),
            float((found.sum(axis=1) / self.relevant).mean()),
        )

    def _neighbour_scores(self, settings: XlSettings) -> Grades:
        """The votes, (B, W); kept for the next setting, which often differs in lambda alone."""
        key = (settings.neighbours, settings.temperature, settings.margin)
        if self._cast is None or self._cast[0] != key:
            votes = self.votes.nearest(settings.neighbours)
            cast = margin_votes(votes, settings.temperature, settings.margin)
            total = np.bincount(self.slot, cast, self.shape[0] * self.shape[1])
            self._cast = key, total.astype(np.float32).reshape(self.shape)
        return self._cast[1]


def _cut(scores: Grades) -> int:
    return min(_DEPTH, int(scores.shape[1])) - 1


def _exact_votes(index: VectorIndex, known: KnownQueries, asked: Vectors) -> Votes:
    most = min(max(_NEIGHBOURS), len(known.vectors))
    near, numbers = faiss.knn(asked, known.vectors, most, metric=faiss.METRIC_INNER_PRODUCT)
    some, which = np.unique(numbers.ravel(), return_inverse=True)
    found = known.select(some)  # the labels of others need no scores
    places, owner = found.labels.places(which)
    rows, weights = found.labels.rows[places], found.labels.weights[places]
    return Votes(near, numbers, owner, rows, label_scores(index, found)[places], weights)


def label_scores(index: VectorIndex, known: KnownQueries) -> Grades:
    """The inner product (n,) of each label's passage with its known query."""
    owner = np.repeat(np.arange(len(known.vectors)), np.diff(known.labels.indptr))
    scores = np.empty(len(owner), np.float32)
    for start in range(0, len(owner), _CHUNK):
        part = slice(start, start + _CHUNK)
        passages = index.vectors(known.labels.rows[part])
        scores[part] = (passages * known.vectors[owner[part]]).sum(axis=1)
    return scores


def sums(known: KnownQueries, labelled: Rows) -> Vectors:
    """The weighted sum (m, d) of the known queries of each of the passages ``labelled``, ascending."""
    owner = np.repeat(np.arange(len(known.vectors)), np.diff(known.labels.indptr))
    by_row = np.argsort(known.labels.rows, kind="stable")
    total = np.empty((len(labelled), known.vectors.shape[1]), np.float32)
    starts = np.searchsorted(known.labels.rows[by_row], labelled)
    ends = np.append(starts[1:], len(by_row))
    for start in range(0, len(labelled), _ROWS):
        stop = min(start + _ROWS, len(labelled))
        mine = by_row[starts[start] : ends[stop - 1]]
        weighted = known.vectors[owner[mine]] * known.labels.weights[mine, None]
        total[start:stop] = np.add.reduceat(weighted, starts[start:stop] - starts[start], axis=0)
    return total


_CHUNK, _ROWS = 65_536, 4_096


def _scores(
    index: VectorIndex, asked: Vectors, of: Rows, rows: Rows, labelled: Rows, means: Vectors
) -> tuple[Grades, Grades, Grades]:
    """<q, p>, <q, n> and <p, n> (n,) of each candidate; 0 for the last two where nothing is known."""
    dense, mean, agreement = (np.zeros(len(rows), np.float32) for _ in range(3))
    places = np.minimum(np.searchsorted(labelled, rows), len(labelled) - 1)
    has = labelled[places] == rows
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        passages, queries = index.vectors(rows[part]), asked[of[part]]
        known = np.where(has[part, None], means[places[part]], np.float32(0))
        dense[part] = (passages * queries).sum(axis=1)
        mean[part] = (known * queries).sum(axis=1)
        agreement[part] = (known * passages).sum(axis=1)
    return dense, mean, agreement


def _gains(labels: Labels, of: Rows, rows: Rows, width: int) -> Grades:
    """The grade (n,) of each candidate."""
    owner = np.repeat(np.arange(len(labels.indptr) - 1), np.diff(labels.indptr))
    judged = owner * width + labels.rows  # ascending, as both parts are
    keys = of * width + rows
    places = np.minimum(np.searchsorted(judged, keys), len(judged) - 1)
    return np.where(judged[places] == keys, labels.weights[places], np.float32(0))


def _ideal(labels: Labels) -> Grades:
    """The DCG@10 (B,) of the best ranking there is."""
    counts = np.diff(labels.indptr)
    owner = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-labels.weights, owner))
    rank = np.arange(len(order)) - labels.indptr[:-1][owner]
    gain = np.where(rank < 10, labels.weights[order] / np.log2(rank + 2), 0)
    return np.bincount(owner, gain, len(counts)).astype(np.float32)
