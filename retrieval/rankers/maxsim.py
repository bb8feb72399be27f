"""Ranking by late interaction over the candidates' packed 1-bit tokens, alone or with more on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.ranker.decoder import Decoder
from lurcher.models.ranker.maxsim import blend, maxsim
from lurcher.models.reader.spans import NOTHING
from lurcher.order import best_first, evened
from lurcher.retrieval.fusion import stand_in
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import Candidates, QueryState, TokenFeatures
from lurcher.retrieval.rankers import Ranking

# What a candidate costs whatever the query: unpacking its codes is as much work as comparing them with this
# many tokens of the query. With it the time per token is the same from 4 tokens to 254.
UNPACKING = 8

# What a unit of the logit of a passage's best span adds to its score, by development questions of squad-open
# and training claims of SciFact: on questions like those it was trained on more gains little, and elsewhere
# it does harm.
READER_WEIGHT = 0.01
# How many of the best by all else are read; with 50 it gains hardly more.
READER_DEPTH = 20


# Candidates that are compared at once, in some 10 ms where the query is as long as the encoder reads.
_AT_ONCE = 128


class MaxSimRanker:
    """Orders by a mean of dense and maxsim, which takes the place of dense in the first stage's score.

    With a decoder, by what that makes of the candidates' codes; the same sum is its prior.
    """

    few = 100

    def __init__(self, store: TokenStore, decoder: Decoder | None = None) -> None:
        self._store, self._decoder = store, decoder

    def length(self, state: QueryState) -> int:
        """As ``Ranker.length``."""
        return UNPACKING + len(_token_features(state).projected)

    def similarity(self, state: QueryState) -> Vectors:
        """Late interaction (C,) of each candidate."""
        features, turn, found = _token_features(state), state.query.turn, []
        for rows in _some(state.candidates.rows):
            turn.pause()
            found.append(maxsim(features.projected, features.weights, *self._store.gather(rows)))
        return np.concatenate(found)

    def scores(self, state: QueryState) -> Mapping[str, Vectors]:
        """As ``Ranker.scores``: ``maxsim``, and ``score``, which takes the place of dense."""
        features, candidates, similarity = (
            _token_features(state), state.candidates, self.similarity(state)
        )  # fmt: skip
        score = blend(candidates.columns["dense"], similarity, state.plan.late_weight)
        if self._decoder is not None:
            score = self._decoder.scores(
                features.states, features.weights, features.projected,
                *self._store.gather(candidates.rows), score, state.query.turn.pause,
            )  # fmt: skip
        return {"maxsim": similarity, "score": score}

    def ranked(self, state: QueryState, scores: Mapping[str, Vectors]) -> Ranking:
        """As ``Ranker.ranked``."""
        bent = self._decoder is None
        return _ranking_of(state.candidates, scores["maxsim"], scores["score"], bent)

    def __call__(self, state: QueryState) -> Ranking:
        """As ``Ranker.__call__``."""
        return self.ranked(state, self.scores(state))


class ReaderRanker:
    """Orders by maxsim and, for the best of those, by how sure a reader is of its best span in each."""

    few = MaxSimRanker.few

    def __init__(self, store: TokenStore, reader: PassageReader, depth: int = READER_DEPTH) -> None:
        """``depth`` is how many candidates are read."""
        self._maxsim, self._reader, self._depth = MaxSimRanker(store), reader, depth

    def length(self, state: QueryState) -> int:
        """As ``Ranker.length``."""
        return self._maxsim.length(state)

    def scores(self, state: QueryState) -> Mapping[str, Vectors]:
        """As ``Ranker.scores``: what maxsim alone ranks by."""
        return self._maxsim.scores(state)

    def ranked(self, state: QueryState, scores: Mapping[str, Vectors]) -> Ranking:
        """As ``Ranker.ranked``, before anything is read; ``to_read`` says what is."""
        return self._maxsim.ranked(state, scores)

    def to_read(self, first: Ranking) -> Rows:
        """The places (n,) of the candidates that are read, which are the best of the ``first`` ranking."""
        return first.order[: self._depth]

    def reranked(
        self, state: QueryState, scores: Mapping[str, Vectors], first: Ranking,
        logits: Mapping[int, Vectors],
    ) -> Ranking:  # fmt: skip
        """The candidates by their ``scores`` and by the ``logits`` (n, 2) of what was read, by row.

        ``first`` is the ranking by the scores alone. What was to be read and has no logits counts as a
        passage without tokens.
        """
        candidates, places = state.candidates, self.to_read(first)
        best = np.full(len(candidates.rows), NOTHING, np.float32)
        best[places] = self._reader.best_logits(candidates.rows[places], logits)
        if len(places) < len(best):
            # What scores the same as the last that is read has its text, and need not be read again.
            rank = first.columns["rank"]
            same = np.setdiff1d(np.flatnonzero(rank == rank[places[-1]]), places)
            best[same] = best[places[-1]]
        score = scores["score"] + np.float32(READER_WEIGHT) * best
        return _ranking_of(candidates, scores["maxsim"], score, bent=False)

    def __call__(self, state: QueryState) -> Ranking:
        """As ``Ranker.__call__``."""
        query, scores = state.features.reader_query, self.scores(state)
        assert query is not None  # noqa: S101 (encoding makes it wherever a reader ranks)
        first = self.ranked(state, scores)
        rows = state.candidates.rows[self.to_read(first)]
        read = self._reader.read(query, rows, pause=state.query.turn.pause)
        logits = {row: one.logits for row, one in read.items()}
        return replace(self.reranked(state, scores, first, logits), read_passages=read)


def _some(rows: Rows) -> list[Rows]:
    """``rows`` (C,), some at a time; what a passage scores does not depend on the others."""
    return np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))


def _token_features(state: QueryState) -> TokenFeatures:
    features = state.features.token_features
    assert features is not None  # noqa: S101 (encoding makes them wherever tokens are ranked by)
    return features


def _ranking_of(candidates: Candidates, similarity: Vectors, score: Vectors, bent: bool) -> Ranking:
    """The order by ``score`` (C,), which takes the place of dense; ``similarity`` (C,) is maxsim.

    ``bent`` says that ``score`` has the scale of cosines.
    """
    rank = evened(stand_in(candidates.columns, score, bent))
    return Ranking({"maxsim": similarity, "rank": rank}, best_first(rank, candidates.rows))
