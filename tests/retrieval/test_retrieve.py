"""Retrieval and fusion against a slow reference: every passage scored by the formulas, in plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError, LurcherError
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.query import (
    Extra,
    NeighbourMode,
    Query,
    QueryFeatures,
    QueryState,
    RetrieverName,
)
from lurcher.retrieval.results import ContributingNeighbour, SearchResult
from lurcher.retrieval.retrievers import Retriever
from lurcher.retrieval.retrievers.dense import DenseRetriever
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.fetch import Explain
from lurcher.retrieval.stages.retrieve import Fuse, Retrieve

# Lively: nearly every neighbour speaks, and few are heard.
VOTING = VotingSettings(neighbours=5, temperature=0.1, margin=-0.2, dense_weight=0.5)
ENGLISH = (Condition("lang", "in", ("en",)),)
TunedMode = Literal["off", "adapted", "voting"]
EXPLAINED: frozenset[Extra] = frozenset({"contributing_neighbours"})
NO_EXTRAS: frozenset[Extra] = frozenset()
NOTHING = (Condition("year", "range", (None, None, 1900, None)),)


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return normed


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


@pytest.fixture(scope="module")
def adapted(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("adapted") / "adapted.lurcher"
    adapt(small_bundle, Judged(judged(small_records)), NeighbourOptions(), out)
    return out


def lively(bundle: Bundle, mode: TunedMode = "voting", voting: VotingSettings = VOTING) -> Bundle:
    """``bundle`` with settings that tuning on made-up judgements would not find."""
    assert bundle.neighbours is not None
    tuned = bundle.neighbours.settings.model_copy(update={"mode": mode, "voting": voting})
    return replace(bundle, neighbours=replace(bundle.neighbours, settings=tuned))


@pytest.fixture
def bundle(adapted: Path) -> Iterator[Bundle]:
    opened = Bundle.open(adapted)
    yield lively(opened)
    opened.close()


@pytest.fixture
def plain(small_bundle: Path) -> Iterator[Bundle]:
    opened = Bundle.open(small_bundle)
    yield opened
    opened.close()


@pytest.fixture
def asked(adapted: Path) -> Vectors:
    """Vectors (8, d) of queries: near known ones, near passages, and between."""
    bundle = Bundle.open(adapted)
    assert bundle.neighbours is not None
    some = np.array([0, 5, 11, 17])
    known, passages = bundle.neighbours.queries.vectors(some), bundle.vectors.vectors(some)
    bundle.close()
    noise = 0.02 * np.random.default_rng(3).standard_normal((8, known.shape[1]))
    return unit(np.concatenate([known, passages[:2], known[:2] + passages[2:]]) + noise)


@dataclass
class Reference:
    """All there is, as plain arrays; what a server learnt is appended to the known queries."""

    passages: Vectors
    known: list[Vectors]
    answers: list[dict[int, float]]  # parts of the largest
    adapted_weight: float

    @classmethod
    def of(cls, bundle: Bundle) -> Reference:
        passages = bundle.vectors.vectors(np.arange(bundle.vectors.count))
        if bundle.neighbours is None:
            return cls(passages, [], [], 0.5)
        labels = bundle.neighbours.labels
        answers = [
            dict(zip(labels.rows[a:b].tolist(), labels.weights[a:b].tolist(), strict=True))
            for a, b in zip(labels.indptr, labels.indptr[1:], strict=False)
        ]
        vectors = bundle.neighbours.queries.vectors(np.arange(len(answers)))
        return cls(
            passages, list(vectors), answers, bundle.neighbours.settings.adapted.dense_weight
        )

    def learn(self, vector: Vectors, weights: dict[int, float]) -> None:
        self.known.append(vector)
        most = max(weights.values())
        self.answers.append({row: weight / most for row, weight in weights.items()})

    def votes(self, query: Vectors, voting: VotingSettings) -> Vectors:
        """The sums (n,) of what known queries vote."""
        similarities = np.array([query @ known for known in self.known], float)
        best = np.argsort(-similarities)[: voting.neighbours]
        force = np.exp(similarities[best] / voting.temperature)
        votes = np.zeros(len(self.passages))
        for i, weight in zip(best, force / max(force.sum(), 1e-30), strict=True):
            for row, label in self.answers[i].items():
                own = float(self.known[i] @ self.passages[row])
                votes[row] += weight * max(0, similarities[i] - own - voting.margin) * label
        return votes

    def scores(
        self, query: Vectors, mode: TunedMode, weight: float | None, voting: VotingSettings = VOTING
    ) -> Vectors:
        """The score (n,) of every passage."""
        dense: Vectors = self.passages @ query
        if mode == "off":
            return dense
        if mode == "voting":
            weight = voting.dense_weight if weight is None else weight
            return weight * dense + (1 - weight) * self.votes(query, voting)
        weight = self.adapted_weight if weight is None else weight
        moved = self.passages.copy()
        for row in {row for own in self.answers for row in own}:
            total = sum(
                own[row] * v for v, own in zip(self.known, self.answers, strict=True) if row in own
            )
            moved[row] = unit(weight * self.passages[row] + (1 - weight) * unit(np.asarray(total)))
        found: Vectors = moved @ query
        return found


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
    """The stages of a snapshot that begin with vectors: retrieve, fuse, and explain."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.online = OnlineIndex(
            bundle.vectors.dimension, bundle.passages.rows_of, bundle.vectors.vectors
        )
        self._capabilities = Capabilities.of(bundle)
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
        self._fuse = Fuse(bundle.vectors, known)
        no_encoder: Any = None  # tokens are not explained here
        self._explain = Explain(known, voting, no_encoder, None, None)

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


def test_off_is_what_faiss_finds(bundle: Bundle, asked: Vectors) -> None:
    scores, rows = bundle.vectors.search(asked, 10)
    queries = [Query("", 10, neighbours="off", extras=EXPLAINED)] * len(asked)
    for hits, score, row in zip(FirstStage(bundle).run(queries, asked), scores, rows, strict=True):
        assert isinstance(hits, Found)
        assert hits.rows.tolist() == row.tolist()
        assert hits.dense.tolist() == score.tolist()
        assert (hits.neighbours, hits.fused) == (None, None)
        assert hits.contributing == [[]] * 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("top_k", [1, 7, 1_000])
def test_every_mode_ranks_as_its_formula_does(
    bundle: Bundle, asked: Vectors, mode: TunedMode, weight: float | None, top_k: int
) -> None:
    stage, reference = FirstStage(bundle), Reference.of(bundle)
    for vector in asked:
        hits = one(stage, Query("", top_k, neighbours=mode, dense_weight=weight), vector)
        count = len(reference.passages)
        same(hits, reference.scores(vector, mode, weight), top_k, range(count), EXACT)
        np.testing.assert_allclose(hits.dense, reference.passages[hits.rows] @ vector, atol=EXACT)
        if mode == "voting":
            assert hits.neighbours is not None
            votes = reference.votes(vector, VOTING)[hits.rows]
            np.testing.assert_allclose(hits.neighbours, votes, atol=EXACT)


@pytest.mark.parametrize(
    "voting",
    [
        VotingSettings(neighbours=1, temperature=0.05, margin=0.0, dense_weight=0.2),
        VotingSettings(neighbours=64, temperature=1.0, margin=-0.1, dense_weight=0.7),
        VotingSettings(neighbours=16, temperature=0.1, margin=0.25, dense_weight=0.5),
    ],
)
def test_votes_are_counted_by_the_tuned_settings(
    bundle: Bundle, asked: Vectors, voting: VotingSettings
) -> None:
    tuned = lively(bundle, voting=voting)
    stage, reference = FirstStage(tuned), Reference.of(tuned)
    for vector in asked:
        hits = one(stage, Query("", 20), vector)
        same(hits, reference.scores(vector, "voting", None, voting), 20, range(60), EXACT)


@pytest.mark.parametrize("mode", MOVING)
def test_a_lambda_of_1_gives_the_bare_order(
    bundle: Bundle, asked: Vectors, mode: TunedMode
) -> None:
    stage = FirstStage(bundle)
    for vector in asked:
        hits = one(stage, Query("", 20, neighbours=mode, dense_weight=1.0), vector)
        bare = one(stage, Query("", 20, neighbours="off"), vector)
        # Copies of a passage have the same vector, and any order.
        np.testing.assert_allclose(scored(hits), bare.dense, atol=EXACT)
        np.testing.assert_allclose(hits.dense, bare.dense, atol=EXACT)


def test_where_only_votes_count_the_rest_follows_in_the_bare_order(
    bundle: Bundle, asked: Vectors
) -> None:
    for vector in asked:
        hits = one(FirstStage(bundle), Query("", 60, neighbours="voting", dense_weight=0.0), vector)
        assert hits.neighbours is not None
        rest = hits.dense[hits.neighbours == 0]
        assert len(rest) > 20
        assert (np.diff(rest) <= 0).all()


# Filters.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("conditions", [ENGLISH, (Condition("flag", "in", (True,)),), NOTHING])
@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("weight", [None, 0.4])
def test_only_what_passes_a_filter_comes_back(
    bundle: Bundle, asked: Vectors, mode: TunedMode, conditions: tuple[Condition, ...], learnt: bool,
    weight: float | None,
) -> None:  # fmt: skip
    stage, reference = FirstStage(bundle), Reference.of(bundle)
    if learnt:
        learn(stage, reference, {f"new {i}": (asked[i], {i: 1.0, 30 + i: 1.0}) for i in range(8)})
    allowed = bundle.passages.rows(conditions).tolist()
    for vector in asked:
        query = Query("", 5, conditions, neighbours=mode, dense_weight=weight)
        hits = one(stage, query, vector)
        same(hits, reference.scores(vector, mode, weight), 5, allowed, HALF if learnt else EXACT)


# What is learnt.


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


@pytest.mark.parametrize("mode", MOVING)
@pytest.mark.parametrize("weight", [None, 0.0, 0.4])
def test_what_is_learnt_counts_as_if_it_were_in_the_bundle(
    bundle: Bundle, asked: Vectors, mode: TunedMode, weight: float | None
) -> None:
    stage, reference = FirstStage(bundle), Reference.of(bundle)
    query = Query("", 12, neighbours=mode, dense_weight=weight)
    before = [scored(one(stage, query, vector)).tolist() for vector in asked]
    learn(stage, reference, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    changed = 0
    for vector, old in zip(asked, before, strict=True):
        hits = one(stage, query, vector)
        same(hits, reference.scores(vector, mode, weight), 12, range(60), HALF)
        changed += not np.allclose(scored(hits), old, atol=HALF)
    assert changed >= len(NEW)
    stage.online.learn(
        [Change(name, stage.id_of(row), 0.0) for name, own in NEW.items() for row in own], [], asked[:0]
    )  # fmt: skip
    for vector, old in zip(asked, before, strict=True):
        assert scored(one(stage, query, vector)).tolist() == pytest.approx(old, abs=1e-6)


def test_a_bundle_without_known_queries_learns_too(plain: Bundle, asked: Vectors) -> None:
    stage, reference = FirstStage(plain), Reference.of(plain)
    bare = one(stage, Query("", 10), asked[0])
    assert bare.fused is None
    voting = VotingSettings()
    many = {f"q{i}": (vector, {i: 1.0, 20 + i: 2.0}) for i, vector in enumerate(asked)}
    noise = np.random.default_rng(0).standard_normal((40, asked.shape[1]))
    forgotten = {f"forgotten {i}": (vector, {5: 1.0}) for i, vector in enumerate(unit(noise))}
    near = {f"near {i}": (unit(asked[0] + 0.5 * unit(n)), {i: 1.0}) for i, n in enumerate(noise)}
    learn(stage, reference, many | near)
    learn(stage, None, forgotten)
    # Silent ones in the graph: those that speak must stay as few as the settings say.
    fifth = stage.id_of(5)
    stage.online.learn([Change(n, fifth, 0.0) for n in forgotten], [], asked[:0])
    for vector in asked:
        hits = one(stage, Query("", 10), vector)
        same(hits, reference.scores(vector, "voting", None, voting), 10, range(60), HALF)


def test_online_feedback_gives_the_scores_that_adapting_with_it_gives(
    adapted: Path, tmp_path: Path
) -> None:
    """Through snapshots: one learns a judgement online, the other has it in its bundle."""
    text, passage = "a windowsill in the sun", "de-earth-2"
    more = [Known("new", text, {passage: 1.0}, "more.tsv")]
    out, _ = adapt(adapted, Judged(more), NeighbourOptions(), tmp_path / "more.lurcher")
    texts = [text, "cat", "how is number 5 of what", "a sunny windowsill"]
    queries = [Query(t, 60, neighbours=mode, dense_weight=0.4) for t in texts for mode in MOVING]
    found = []
    for path, learns in ((adapted, True), (out, False)):
        opened = Bundle.open(path)
        snapshot = Snapshot(lively(opened), 1)
        if learns:
            before = scores_by_id(snapshot.run(queries))
            snapshot.learn([Change(text, passage, 3.0)])
        found.append(scores_by_id(snapshot.run(queries)))
        opened.close()
    for online, folded in zip(*found, strict=True):
        assert online == pytest.approx(folded, abs=HALF)
    assert found[0][0][passage] > before[0][passage] + 0.05
    assert max(found[0][1], key=lambda id_: found[0][1][id_]) == passage


def scores_by_id(results: Sequence[SearchResult | LurcherError]) -> list[dict[str, float]]:
    assert all(isinstance(result, SearchResult) for result in results)
    return [{hit.id: hit.score for hit in r.hits} for r in results if isinstance(r, SearchResult)]


# Batches, modes and explanations.


def test_a_mixed_batch_finds_what_each_finds_alone(bundle: Bundle, asked: Vectors) -> None:
    stage = FirstStage(bundle)
    learn(stage, None, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    colour = (Condition("colour", "in", ("red",)),)
    queries = [
        Query("", 5, conditions, mode, weight, extras=extras)
        for mode in AUTO_AND_MODES
        for conditions in ((), ENGLISH, NOTHING, colour)
        for weight, extras in ((None, EXPLAINED), (0.0, NO_EXTRAS), (0.7, EXPLAINED))
    ]
    order = np.random.default_rng(0).permutation(len(queries))
    queries = [queries[i] for i in order]
    vectors = asked[np.arange(len(queries)) % len(asked)]
    together = stage.run(queries, vectors)
    for query, vector, hits in zip(queries, vectors, together, strict=True):
        (alone,) = stage.run([query], vector[None])
        if query.conditions == colour:
            assert isinstance(hits, FieldError)
            assert str(hits) == str(alone)
            continue
        assert isinstance(hits, Found)
        assert isinstance(alone, Found)
        assert hits.rows.tolist() == alone.rows.tolist()
        np.testing.assert_allclose(scored(hits), scored(alone), atol=1e-6)
        assert (hits.contributing is None) == (alone.contributing is None)
        assert (hits.contributing is None) == (not query.extras or not len(hits.rows))
        for some, others in zip(hits.contributing or [], alone.contributing or [], strict=True):
            assert [s.text for s in some] == [s.text for s in others]
    assert stage.run([], asked[:0]) == []


@pytest.mark.parametrize("mode", MOVING)
def test_explained_hits_name_the_known_queries_that_raised_them(
    bundle: Bundle, asked: Vectors, small_records: list[dict[str, Any]], mode: TunedMode
) -> None:
    assert bundle.neighbours is not None
    stage, known = FirstStage(bundle), {k.id: k for k in judged(small_records)}
    vectors = bundle.neighbours.queries.vectors(np.arange(30))
    for number in (0, 7, 23):
        hits = one(stage, Query("", 60, neighbours=mode, extras=EXPLAINED), vectors[number])
        assert hits.contributing is not None
        for row, named in zip(hits.rows.tolist(), hits.contributing, strict=True):
            passage = small_records[row]["id"]
            assert len(named) <= 3
            assert sum(s.share for s in named) <= 1 + 1e-5
            assert [s.share for s in named] == sorted((s.share for s in named), reverse=True)
            for one_of in named:
                assert known[one_of.id].text == one_of.text
                assert passage in known[one_of.id].labels
                similarity = vectors[int(one_of.id[1:])] @ vectors[number]
                assert one_of.similarity == pytest.approx(similarity, abs=1e-5)
            if mode == "adapted":
                assert bool(named) == any(passage in k.labels for k in known.values())
                if len(named) in (1, 2) and named[0].similarity > 0:
                    assert sum(s.share for s in named) == pytest.approx(1, abs=1e-4)
        labels = known[f"k{number}"].labels
        best = max(labels, key=lambda passage: labels[passage])
        (place,) = (i for i, r in enumerate(hits.rows) if small_records[r]["id"] == best)
        assert hits.contributing[place][0].id == f"k{number}"


@pytest.mark.parametrize("mode", MOVING)
def test_what_was_learnt_is_explained_by_its_text(
    bundle: Bundle, asked: Vectors, mode: TunedMode
) -> None:
    stage = FirstStage(bundle)
    learn(stage, None, {"what I asked": (asked[6], {57: 1.0})})
    hits = one(stage, Query("", 60, neighbours=mode, extras=EXPLAINED), asked[6])
    assert hits.contributing is not None
    ((place,),) = np.nonzero(hits.rows == 57)
    named = hits.contributing[place]
    assert (named[0].id, named[0].text) == ("", "what I asked")
    assert named[0].similarity == pytest.approx(1, abs=HALF)
    assert named[0].share == pytest.approx(1, abs=1e-5)  # nobody else knows that passage


def test_adapted_needs_known_queries(plain: Bundle, asked: Vectors) -> None:
    queries = [
        Query("", neighbours="adapted"),
        Query("", neighbours="off"),
        Query("", neighbours="voting", extras=EXPLAINED),
    ]
    error, off, voting = FirstStage(plain).run(queries, asked[:3])
    assert isinstance(error, FieldError)
    assert error.field == "neighbours.mode"
    assert "lurcher adapt" in error.reason
    bare = [one(FirstStage(plain), Query("", neighbours="off"), vector) for vector in asked[1:3]]
    for hits, wanted in zip((off, voting), bare, strict=True):
        assert isinstance(hits, Found)
        assert hits.rows.tolist() == wanted.rows.tolist()
        assert (hits.neighbours, hits.fused) == (None, None)
        assert not any(hits.contributing or [])


@pytest.mark.parametrize("mode", MODES)
def test_auto_is_what_was_tuned(bundle: Bundle, asked: Vectors, mode: TunedMode) -> None:
    stage = FirstStage(lively(bundle, mode))
    for vector in asked:
        auto, named = (one(stage, Query("", neighbours=m), vector) for m in ("auto", mode))
        assert auto.rows.tolist() == named.rows.tolist()
        assert scored(auto).tolist() == scored(named).tolist()


def test_feedback_counts_where_the_bundles_own_queries_did_not_help(
    bundle: Bundle, asked: Vectors
) -> None:
    """Tuned to off: those of the bundle stay silent, what was learnt since speaks."""
    stage = FirstStage(lively(bundle, "off"))
    alone = Reference(Reference.of(bundle).passages, [], [], 0.5)
    learn(stage, alone, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    for vector in asked:
        auto = one(stage, Query("", 12), vector)
        same(auto, alone.scores(vector, "voting", None, VotingSettings()), 12, range(60), HALF)
        off = one(stage, Query("", 12, neighbours="off"), vector)
        assert off.fused is None
