"""What is learnt online counts as if it were in the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.feedback.online import Change
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.retrieve.first_stage import (
    HALF,
    MOVING,
    NEW,
    FirstStage,
    learn,
    lively,
    one,
    same,
    scored,
)
from tests.retrieval.retrieve.reference import Reference, TunedMode, unit


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
