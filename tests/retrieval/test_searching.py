"""The search stage against its slow twin: every passage scored by the formulas, in plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import Mode, VotingSettings
from lurcher.bundle.passages import Condition
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import Change
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.errors import FieldError, LurcherError
from lurcher.retrieval.pipeline import Pipeline, Result
from lurcher.retrieval.searching import Hits, Query, Searching

# Lively: nearly every neighbour speaks, and few are heard.
XL = VotingSettings(neighbours=5, temperature=0.1, margin=-0.2, dense_weight=0.5)
ENGLISH = (Condition("lang", "in", ("en",)),)
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


def lively(bundle: Bundle, mode: Mode = "voting", voting: VotingSettings = XL) -> Bundle:
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
class Twin:
    """All there is, as plain arrays; what a server learnt is appended to the known queries."""

    passages: Vectors
    known: list[Vectors]
    answers: list[dict[int, float]]  # parts of the largest
    xs_weight: float

    @classmethod
    def of(cls, bundle: Bundle) -> Twin:
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

    def said(self, query: Vectors, xl: VotingSettings) -> Vectors:
        """Neighbour scores (n,) of ``xl``."""
        similarities = np.array([query @ known for known in self.known], float)
        best = np.argsort(-similarities)[: xl.neighbours]
        force = np.exp(similarities[best] / xl.temperature)
        said = np.zeros(len(self.passages))
        for i, weight in zip(best, force / max(force.sum(), 1e-30), strict=True):
            for row, label in self.answers[i].items():
                own = float(self.known[i] @ self.passages[row])
                said[row] += weight * max(0, similarities[i] - own - xl.margin) * label
        return said

    def scores(
        self, query: Vectors, mode: Mode, weight: float | None, xl: VotingSettings = XL
    ) -> Vectors:
        """The score (n,) of every passage."""
        dense: Vectors = self.passages @ query
        if mode == "off":
            return dense
        if mode == "voting":
            weight = xl.dense_weight if weight is None else weight
            return weight * dense + (1 - weight) * self.said(query, xl)
        weight = self.xs_weight if weight is None else weight
        moved = self.passages.copy()
        for row in {row for own in self.answers for row in own}:
            total = sum(
                own[row] * v for v, own in zip(self.known, self.answers, strict=True) if row in own
            )
            moved[row] = unit(weight * self.passages[row] + (1 - weight) * unit(np.asarray(total)))
        found: Vectors = moved @ query
        return found


def one(searching: Searching, query: Query, vector: Vectors) -> Hits:
    (hits,) = searching.run([query], vector[None])
    assert isinstance(hits, Hits)
    return hits


def scored(hits: Hits) -> Vectors:
    """What the hits are ordered by."""
    return hits.dense if hits.mixed is None else hits.mixed


def same(hits: Hits, scores: Vectors, top_k: int, among: Sequence[int], atol: float) -> None:
    """Whether ``hits`` are the best of ``scores`` among some rows; equal ones in any order."""
    rows = np.array(among, np.int64)
    best = np.sort(scores[rows])[::-1][:top_k]
    assert len(set(hits.rows.tolist())) == len(hits.rows) == len(best)
    assert set(hits.rows.tolist()) <= set(rows.tolist())
    np.testing.assert_allclose(scored(hits), best, atol=atol)
    np.testing.assert_allclose(scored(hits), scores[hits.rows], atol=atol)


MODES: list[Mode] = ["off", "adapted", "voting"]
EXACT, HALF = 1e-5, 2e-3  # what was learnt is kept in half precision


def test_off_is_what_faiss_finds(bundle: Bundle, asked: Vectors) -> None:
    scores, rows = bundle.vectors.search(asked, 10)
    queries = [Query("", 10, mode="off", explain=True)] * len(asked)
    for hits, score, row in zip(Searching(bundle).run(queries, asked), scores, rows, strict=True):
        assert isinstance(hits, Hits)
        assert hits.rows.tolist() == row.tolist()
        assert hits.dense.tolist() == score.tolist()
        assert (hits.neighbours, hits.mixed, hits.spoke) == (None, None, None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("top_k", [1, 7, 1_000])
def test_every_mode_ranks_as_its_formula_does(
    bundle: Bundle, asked: Vectors, mode: Mode, weight: float | None, top_k: int
) -> None:
    searching, twin = Searching(bundle), Twin.of(bundle)
    for vector in asked:
        hits = one(searching, Query("", top_k, mode=mode, dense_weight=weight), vector)
        count = len(twin.passages)
        same(hits, twin.scores(vector, mode, weight), top_k, range(count), EXACT)
        np.testing.assert_allclose(hits.dense, twin.passages[hits.rows] @ vector, atol=EXACT)
        if mode == "voting":
            assert hits.neighbours is not None
            said = twin.said(vector, XL)[hits.rows]
            np.testing.assert_allclose(hits.neighbours, said, atol=EXACT)


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
    searching, twin = Searching(tuned), Twin.of(tuned)
    for vector in asked:
        hits = one(searching, Query("", 20), vector)
        same(hits, twin.scores(vector, "voting", None, voting), 20, range(60), EXACT)


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_a_lambda_of_1_gives_the_bare_order(bundle: Bundle, asked: Vectors, mode: Mode) -> None:
    searching = Searching(bundle)
    for vector in asked:
        hits = one(searching, Query("", 20, mode=mode, dense_weight=1.0), vector)
        bare = one(searching, Query("", 20, mode="off"), vector)
        # Copies of a passage have the same vector, and any order.
        np.testing.assert_allclose(scored(hits), bare.dense, atol=EXACT)
        np.testing.assert_allclose(hits.dense, bare.dense, atol=EXACT)


def test_where_only_votes_count_the_rest_follows_in_the_bare_order(
    bundle: Bundle, asked: Vectors
) -> None:
    for vector in asked:
        hits = one(Searching(bundle), Query("", 60, mode="voting", dense_weight=0.0), vector)
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
    bundle: Bundle, asked: Vectors, mode: Mode, conditions: tuple[Condition, ...], learnt: bool,
    weight: float | None,
) -> None:  # fmt: skip
    searching, twin = Searching(bundle), Twin.of(bundle)
    if learnt:
        learn(searching, twin, {f"new {i}": (asked[i], {i: 1.0, 30 + i: 1.0}) for i in range(8)})
    allowed = bundle.passages.rows(conditions).tolist()
    for vector in asked:
        query = Query("", 5, conditions, mode=mode, dense_weight=weight)
        hits = one(searching, query, vector)
        same(hits, twin.scores(vector, mode, weight), 5, allowed, HALF if learnt else EXACT)


# What is learnt.


def learn(
    searching: Searching, twin: Twin | None, known: dict[str, tuple[Vectors, dict[int, float]]]
) -> None:
    """Teach both ``known`` queries: their vectors, and weights by row."""
    ids = [passage.id for passage in searching._bundle.passages.get(range(60))]
    changes = [Change(q, ids[row], w) for q, (_, own) in known.items() for row, w in own.items()]
    texts = searching.online.unknown(changes)
    vectors = np.array([known[text][0] for text in texts]).reshape(len(texts), -1)
    searching.online.learn(changes, texts, vectors)
    for vector, weights in known.values():
        if twin is not None:
            twin.learn(vector, weights)


NEW = {"first": {3: 1.0, 50: 4.0}, "second": {55: 1.0}, "third": {0: 2.0, 1: 1.0, 59: 0.5}}


@pytest.mark.parametrize("mode", ["adapted", "voting"])
@pytest.mark.parametrize("weight", [None, 0.0, 0.4])
def test_what_is_learnt_counts_as_if_it_were_in_the_bundle(
    bundle: Bundle, asked: Vectors, mode: Mode, weight: float | None
) -> None:
    searching, twin = Searching(bundle), Twin.of(bundle)
    query = Query("", 12, mode=mode, dense_weight=weight)
    before = [scored(one(searching, query, vector)).tolist() for vector in asked]
    learn(searching, twin, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    changed = 0
    for vector, old in zip(asked, before, strict=True):
        hits = one(searching, query, vector)
        same(hits, twin.scores(vector, mode, weight), 12, range(60), HALF)
        changed += not np.allclose(scored(hits), old, atol=HALF)
    assert changed >= len(NEW)
    ids = [passage.id for passage in bundle.passages.get(range(60))]
    searching.online.learn(
        [Change(name, ids[row], 0.0) for name, own in NEW.items() for row in own], [], asked[:0]
    )
    for vector, old in zip(asked, before, strict=True):
        assert scored(one(searching, query, vector)).tolist() == pytest.approx(old, abs=1e-6)


def test_a_bundle_without_known_queries_learns_too(plain: Bundle, asked: Vectors) -> None:
    searching, twin = Searching(plain), Twin.of(plain)
    bare = one(searching, Query("", 10), asked[0])
    assert bare.mixed is None
    xl = VotingSettings()
    many = {f"q{i}": (vector, {i: 1.0, 20 + i: 2.0}) for i, vector in enumerate(asked)}
    noise = np.random.default_rng(0).standard_normal((40, asked.shape[1]))
    gone = {f"gone {i}": (vector, {5: 1.0}) for i, vector in enumerate(unit(noise))}
    near = {f"near {i}": (unit(asked[0] + 0.5 * unit(n)), {i: 1.0}) for i, n in enumerate(noise)}
    learn(searching, twin, many | near)
    learn(searching, None, gone)
    # Silent ones in the graph: those that speak must stay as few as the settings say.
    (passage,) = plain.passages.get([5])
    searching.online.learn([Change(n, passage.id, 0.0) for n in gone], [], asked[:0])
    for vector in asked:
        hits = one(searching, Query("", 10), vector)
        same(hits, twin.scores(vector, "voting", None, xl), 10, range(60), HALF)


def test_live_feedback_gives_the_scores_that_adapting_with_it_gives(
    adapted: Path, tmp_path: Path
) -> None:
    """Through pipelines: one learns a judgement live, the other has it in its bundle."""
    text, passage = "a windowsill in the sun", "de-earth-2"
    more = [Known("new", text, {passage: 1.0}, "more.tsv")]
    out, _ = adapt(adapted, Judged(more), NeighbourOptions(), tmp_path / "more.lurcher")
    texts = [text, "cat", "how is number 5 of what", "a sunny windowsill"]
    queries = [
        Query(t, 60, mode=mode, dense_weight=0.4) for t in texts for mode in ("adapted", "voting")
    ]  # fmt: skip
    found = []
    for path, learns in ((adapted, True), (out, False)):
        opened = Bundle.open(path)
        pipeline = Pipeline(lively(opened), 1)
        if learns:
            before = scores_by_id(pipeline.run(queries))
            pipeline.learn([Change(text, passage, 3.0)])
        found.append(scores_by_id(pipeline.run(queries)))
        opened.close()
    for live, folded in zip(*found, strict=True):
        assert live == pytest.approx(folded, abs=HALF)
    assert found[0][0][passage] > before[0][passage] + 0.05
    assert max(found[0][1], key=lambda id_: found[0][1][id_]) == passage


def scores_by_id(results: Sequence[Result | LurcherError]) -> list[dict[str, float]]:
    assert all(isinstance(result, Result) for result in results)
    return [{f.passage.id: f.score for f in r.found} for r in results if isinstance(r, Result)]


# Batches, modes and explanations.


def test_a_mixed_batch_finds_what_each_finds_alone(bundle: Bundle, asked: Vectors) -> None:
    searching = Searching(bundle)
    learn(searching, None, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    colour = (Condition("colour", "in", ("red",)),)
    queries = [
        Query("", 5, conditions, mode, weight, explain)
        for mode in ("auto", *MODES)
        for conditions in ((), ENGLISH, NOTHING, colour)
        for weight, explain in ((None, True), (0.0, False), (0.7, True))
    ]
    order = np.random.default_rng(0).permutation(len(queries))
    queries = [queries[i] for i in order]
    vectors = asked[np.arange(len(queries)) % len(asked)]
    together = searching.run(queries, vectors)
    for query, vector, hits in zip(queries, vectors, together, strict=True):
        (alone,) = searching.run([query], vector[None])
        if query.conditions == colour:
            assert isinstance(hits, FieldError)
            assert str(hits) == str(alone)
            continue
        assert isinstance(hits, Hits)
        assert isinstance(alone, Hits)
        assert hits.rows.tolist() == alone.rows.tolist()
        np.testing.assert_allclose(scored(hits), scored(alone), atol=1e-6)
        assert (hits.spoke is None) == (alone.spoke is None)
        for some, others in zip(hits.spoke or [], alone.spoke or [], strict=True):
            assert [s.text for s in some] == [s.text for s in others]
    assert searching.run([], asked[:0]) == []


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_explained_hits_say_who_spoke(
    bundle: Bundle, asked: Vectors, small_records: list[dict[str, Any]], mode: Mode
) -> None:
    assert bundle.neighbours is not None
    searching, known = Searching(bundle), {k.id: k for k in judged(small_records)}
    vectors = bundle.neighbours.queries.vectors(np.arange(30))
    for number in (0, 7, 23):
        hits = one(searching, Query("", 60, mode=mode, explain=True), vectors[number])
        assert hits.spoke is not None
        for row, spoke in zip(hits.rows.tolist(), hits.spoke, strict=True):
            passage = small_records[row]["id"]
            assert len(spoke) <= 3
            assert sum(s.share for s in spoke) <= 1 + 1e-5
            assert [s.share for s in spoke] == sorted((s.share for s in spoke), reverse=True)
            for one_of in spoke:
                assert known[one_of.id].text == one_of.text
                assert passage in known[one_of.id].labels
                similarity = vectors[int(one_of.id[1:])] @ vectors[number]
                assert one_of.similarity == pytest.approx(similarity, abs=1e-5)
            if mode == "adapted":
                assert bool(spoke) == any(passage in k.labels for k in known.values())
                if len(spoke) in (1, 2) and spoke[0].similarity > 0:
                    assert sum(s.share for s in spoke) == pytest.approx(1, abs=1e-4)
        labels = known[f"k{number}"].labels
        best = max(labels, key=lambda passage: labels[passage])
        (place,) = (i for i, r in enumerate(hits.rows) if small_records[r]["id"] == best)
        assert hits.spoke[place][0].id == f"k{number}"


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_what_was_learnt_is_explained_by_its_text(
    bundle: Bundle, asked: Vectors, mode: Mode
) -> None:
    searching = Searching(bundle)
    learn(searching, None, {"what I asked": (asked[6], {57: 1.0})})
    hits = one(searching, Query("", 60, mode=mode, explain=True), asked[6])
    assert hits.spoke is not None
    ((place,),) = np.nonzero(hits.rows == 57)
    spoke = hits.spoke[place]
    assert (spoke[0].id, spoke[0].text) == ("", "what I asked")
    assert spoke[0].similarity == pytest.approx(1, abs=HALF)
    assert spoke[0].share == pytest.approx(1, abs=1e-5)  # nobody else knows that passage


def test_xs_needs_known_queries(plain: Bundle, asked: Vectors) -> None:
    queries = [
        Query("", mode="adapted"),
        Query("", mode="off"),
        Query("", mode="voting", explain=True),
    ]
    error, off, xl = Searching(plain).run(queries, asked[:3])
    assert isinstance(error, FieldError)
    assert error.field == "pefa.mode"
    assert "lurcher adapt" in error.reason
    bare = [one(Searching(plain), Query("", mode="off"), vector) for vector in asked[1:3]]
    for hits, wanted in zip((off, xl), bare, strict=True):
        assert isinstance(hits, Hits)
        assert hits.rows.tolist() == wanted.rows.tolist()
        assert (hits.neighbours, hits.mixed, hits.spoke) == (None, None, None)


@pytest.mark.parametrize("mode", MODES)
def test_auto_is_what_was_tuned(bundle: Bundle, asked: Vectors, mode: Mode) -> None:
    searching = Searching(lively(bundle, mode))
    for vector in asked:
        auto, named = (one(searching, Query("", mode=m), vector) for m in ("auto", mode))
        assert auto.rows.tolist() == named.rows.tolist()
        assert scored(auto).tolist() == scored(named).tolist()


def test_feedback_counts_where_the_bundles_own_queries_did_not_help(
    bundle: Bundle, asked: Vectors
) -> None:
    """Tuned to off: those of the bundle stay silent, what was learnt since speaks."""
    searching = Searching(lively(bundle, "off"))
    alone = Twin(Twin.of(bundle).passages, [], [], 0.5)
    learn(searching, alone, {n: (asked[i], own) for i, (n, own) in enumerate(NEW.items())})
    for vector in asked:
        auto = one(searching, Query("", 12), vector)
        same(auto, alone.scores(vector, "voting", None, VotingSettings()), 12, range(60), HALF)
        off = one(searching, Query("", 12, mode="off"), vector)
        assert off.mixed is None
