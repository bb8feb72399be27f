"""The stages under test, what they found, and how that is compared with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.index_builder.judged.known import Known
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.query import (
    Extra,
    NeighbourMode,
    Query,
    QueryFeatures,
    QueryState,
    RetrieverName,
)
from lurcher.retrieval.results import ContributingNeighbour
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.dense import DenseRetriever
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.retrieval.stages.fetch import Explain
from lurcher.retrieval.stages.fuse import Fuse
from lurcher.retrieval.stages.retrieve import Retrieve
from tests.retrieval.retrieve.reference import VOTING, Reference, TunedMode

ENGLISH = (Condition("lang", "in", ("en",)),)
EXPLAINED: frozenset[Extra] = frozenset({"contributing_neighbours"})
NO_EXTRAS: frozenset[Extra] = frozenset()
NOTHING = (Condition("year", "range", (None, None, 1900, None)),)


def judged(records: Sequence[dict[str, Any]]) -> list[Known]:
    """Thirty queries, each with one to three passages, most of them far from it."""
    draw = np.random.default_rng(7)
    words = ["who", "what", "where", "when", "why", "how", "much", "many", "long", "far"]
    known = []
    for i in range(30):
        some = draw.choice(40, draw.integers(1, 4), replace=False)  # a third of all has none
        labels = {records[row]["id"]: float(draw.choice([0.5, 1, 2])) for row in some}
        text = f"{words[i % 10]} is number {i} of {words[i // 3]}"
        known.append(Known(f"k{i}", text, labels, "known.tsv"))
    return known


def lively(bundle: Bundle, mode: TunedMode = "voting", voting: VotingSettings = VOTING) -> Bundle:
    """``bundle`` with settings that tuning on made-up judgements would not find."""
    assert bundle.neighbours is not None
    tuned = bundle.neighbours.settings.model_copy(update={"mode": mode, "voting": voting})
    return replace(bundle, neighbours=replace(bundle.neighbours, settings=tuned))


@dataclass(frozen=True)
class Found:
    """The candidates of one query, column by column, and what explains them."""

    rows: Rows
    dense: Vectors
    neighbours: Vectors | None
    fused: Vectors | None
    contributing: list[list[ContributingNeighbour]] | None

    @classmethod
    def of(cls, state: QueryState) -> Found:
        columns, explained = state.candidates.columns, state.explanations
        return cls(
            state.candidates.rows,
            columns["dense"],
            columns.get("neighbours"),
            columns.get("fused"),
            [one.contributing_neighbours or [] for one in explained] if explained else None,
        )


class FirstStage:
    """The stages of a snapshot that begin with vectors: retrieve, fuse, and explain; none looks for words."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.online = OnlineIndex(
            bundle.vectors.dimension, bundle.passages.rows_of, bundle.vectors.vectors
        )
        self._capabilities = replace(Capabilities.of(bundle), lexical=None)
        known = KnownQueries(bundle.neighbours, self.online)
        voting: dict[RetrieverName, VotingRetriever] = {
            "online": VotingRetriever(known, VotingSettings(), of_bundle=False)
        }
        retrievers: dict[RetrieverName, Retriever] = {"dense": DenseRetriever(bundle.vectors)}
        if bundle.neighbours is not None:
            tuned = bundle.neighbours.settings.voting
            voting["voting"] = VotingRetriever(known, tuned, of_bundle=True)
            retrievers["adapted"] = DenseRetriever(bundle.neighbours.adapted, "fused")
        self._retrieve = Retrieve({**retrievers, **voting})
        self._fuse = Fuse(bundle.vectors, None, known)
        no_encoder: Any = None  # tokens are not explained here
        self._explain = Explain(known, voting, no_encoder, None, None, None)

    def id_of(self, row: int) -> str:
        return self._bundle.passages.get([row])[0].id

    def run(self, queries: Sequence[Query], vectors: Vectors) -> list[Found | LurcherError]:
        found: dict[int, Found | LurcherError] = {}
        states: dict[int, QueryState] = {}
        no_tokens: Any = None
        for place, (query, vector) in enumerate(zip(queries, vectors, strict=True)):
            try:
                plan = self._capabilities.plan(replace(query, rank="off"), len(self.online) > 0)
                passages = self._bundle.passages
                allow = passages.rows(query.conditions) if query.conditions else None
            except LurcherError as error:
                found[place] = error
            else:
                states[place] = QueryState(query, plan, allow, QueryFeatures(no_tokens, vector))
        done = self._explain(self._fuse(self._retrieve(list(states.values()))))
        found |= {place: Found.of(state) for place, state in zip(states, done, strict=True)}
        return [found[place] for place in range(len(queries))]


def one(stage: FirstStage, query: Query, vector: Vectors) -> Found:
    (hits,) = stage.run([query], vector[None])
    assert isinstance(hits, Found), hits
    return hits


def scored(hits: Found) -> Vectors:
    """What the hits are ordered by."""
    return hits.dense if hits.fused is None else hits.fused


def same(hits: Found, scores: Vectors, top_k: int, among: Sequence[int], atol: float) -> None:
    """Whether ``hits`` are the best of ``scores`` among some rows; equal ones in any order."""
    rows = np.array(among, np.int64)
    best = np.sort(scores[rows])[::-1][:top_k]
    assert len(set(hits.rows.tolist())) == len(hits.rows) == len(best)
    assert set(hits.rows.tolist()) <= set(rows.tolist())
    np.testing.assert_allclose(scored(hits), best, atol=atol)
    np.testing.assert_allclose(scored(hits), scores[hits.rows], atol=atol)


MODES: list[TunedMode] = ["off", "adapted", "voting"]
MOVING: list[TunedMode] = ["adapted", "voting"]
AUTO_AND_MODES: list[NeighbourMode] = ["auto", "off", "adapted", "voting"]
EXACT, HALF = 1e-5, 2e-3  # what was learnt is kept in half precision


def learn(
    stage: FirstStage,
    reference: Reference | None,
    known: dict[str, tuple[Vectors, dict[int, float]]],
) -> None:
    """Teach both ``known`` queries: their vectors, and weights by row."""
    changes = [
        Change(query, stage.id_of(row), weight)
        for query, (_, own) in known.items()
        for row, weight in own.items()
    ]
    texts = stage.online.unknown(changes)
    vectors = np.array([known[text][0] for text in texts]).reshape(len(texts), -1)
    stage.online.learn(changes, texts, vectors)
    for vector, weights in known.values():
        if reference is not None:
            reference.learn(vector, weights)


NEW = {"first": {3: 1.0, 50: 4.0}, "second": {55: 1.0}, "third": {0: 2.0, 1: 1.0, 59: 0.5}}
