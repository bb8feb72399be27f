"""Ranking by a T5's decoder, which reads its own encoder's states of the candidates.

What it gives are logarithms of likelihoods or of odds, on a scale of their own: they alone order the hits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.state_store import StateStore
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.batches import Pause
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder
from lurcher.order import best_first
from lurcher.retrieval.query import QueryState
from lurcher.retrieval.rankers import Ranking
from lurcher.retrieval.rankers.maxsim import MaxSimRanker
from lurcher.retrieval.results import WrittenAnswer

# The most tokens that a T5 writes.
_WRITTEN = 48


@dataclass(frozen=True, slots=True)
class T5:
    """A T5's decoder and the states that it reads."""

    decoder: Seq2SeqDecoder
    states: StateStore

    def scores(self, text: str, rows: Rows, pause: Pause | None = None) -> Vectors:
        """The score (C,) float32 of each of the passages in ``rows`` (C,) for the query ``text``."""
        return self.decoder.scores(text, self.states.gather(rows), pause)

    def write(
        self, text: str, rows: Rows, passages: Sequence[Passage], pause: Pause | None = None
    ) -> WrittenAnswer:
        """An answer to ``text``, written from all the ``passages`` in ``rows`` together."""
        written, score = self.decoder.write(text, self.states.gather(rows), _WRITTEN, pause)
        return WrittenAnswer(written, score, [passage.id for passage in passages])


class T5Ranker:
    """Orders by a T5 alone; with a token store, hits have a maxsim score as well."""

    few = 10  # each of few candidates takes about as long as each of many

    def __init__(self, t5: T5, store: TokenStore | None) -> None:
        self._t5 = t5
        self._maxsim = None if store is None else MaxSimRanker(store)

    def length(self, state: QueryState) -> int:
        """As ``Ranker.length``."""
        return len(self._t5.decoder.reads(state.query.text))

    def scores(self, state: QueryState) -> Mapping[str, Vectors]:
        """As ``Ranker.scores``: ``rank``, and ``maxsim`` where there are tokens."""
        query, rows = state.query, state.candidates.rows
        found = {} if self._maxsim is None else {"maxsim": self._maxsim.similarity(state)}
        return found | {"rank": self._t5.scores(query.text, rows, query.turn.pause)}

    def ranked(self, state: QueryState, scores: Mapping[str, Vectors]) -> Ranking:
        """As ``Ranker.ranked``."""
        return Ranking(scores, best_first(scores["rank"], state.candidates.rows))

    def __call__(self, state: QueryState) -> Ranking:
        """As ``Ranker.__call__``."""
        return self.ranked(state, self.scores(state))
