"""Reading over shards: passages are read where they lie, and answers are chosen among all of them here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.cluster.asking import Asking, Search
from lurcher.cluster.messages import HasRead, Read, Work
from lurcher.retrieval.passage_reader import PassageReader, ReadPassage
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.stages.read import answers_in, search_scores
from lurcher.retrieval.vector_side import VectorSide


class ReadOverShards:
    """Finds answers in the hits of searches."""

    def __init__(self, asking: Asking, reader: PassageReader, models: VectorSide) -> None:
        """``reader`` and ``models`` are a coordinator's."""
        self._asking, self._reader, self._models = asking, reader, models

    def __call__(self, searches: Sequence[Search]) -> None:
        """Give each of ``searches`` its answers; where time is up, only the first hit is read for it."""
        for search in searches:
            features = search.state.features
            if features.reader_query is None:
                query = self._reader.query(self._models.queries, features.tokens)
                features = replace(features, reader_query=query)
                search.state = replace(search.state, features=features)
        rows = []
        for search in searches:
            hits, deadline = search.found.candidates.rows, search.state.query.deadline
            if deadline is not None and perf_counter() > deadline and len(hits) > 1:
                hits = hits[:1]
                degraded = (*search.state.degraded, "read")
                search.state = replace(search.state, degraded=degraded)
            rows.append(hits)
        read(self._asking, searches, rows)
        for search, hits in zip(searches, rows, strict=True):
            if search.error is None:
                self._answer(search, hits)

    def _answer(self, search: Search, hits: Rows) -> None:
        state = search.state
        encoder = self._models.passage_encoder()
        assert state.query.read is not None  # noqa: S101 (the caller asks for answers)
        there = {
            place: ReadPassage(state.passages[place], encoder, one.positions, one.logits)
            for place, row in enumerate(hits.tolist())
            if (one := search.read.get(row)) is not None
        }
        answers = answers_in(
            self._reader.config, state.query.read, there, search_scores(state),
            is_question(state.query.text),
        )  # fmt: skip
        search.state = replace(state, answers=tuple(answers))


def read(asking: Asking, searches: Sequence[Search], rows: Sequence[Rows]) -> None:
    """Let those of ``rows`` (k,) of each of ``searches`` be read that have not been; note what they say."""
    works = [_works(search, some) for search, some in zip(searches, rows, strict=True)]
    for search, parts in zip(searches, asking.ask(searches, works, HasRead), strict=True):
        for part in parts.values():
            search.read |= {one.row: one for one in part.passages}


def _works(search: Search, rows: Rows) -> dict[int, Work]:
    query = search.state.features.reader_query
    assert query is not None  # noqa: S101 (whoever reads has made it)
    new = ~np.isin(rows, list(search.read))
    shards = search.found.shards_of(rows)
    return {
        int(shard): Read(rows[new & (shards == shard)], query) for shard in np.unique(shards[new])
    }
