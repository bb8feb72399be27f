"""What ``lurcher bench tokens`` measures is what ships, and its alternatives are what they are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="the [bench] extra is not installed")
pytest.importorskip("matplotlib", reason="the [bench] extra is not installed")

from scipy.cluster.hierarchy import linkage

from lurcher.benchmarks import tokens as bench
from lurcher.benchmarks.token_candidates import Candidates, DevelopmentSet, rotation
from lurcher.benchmarks.token_variants import Variant, Variants, bipartite, cut, itq
from lurcher.evaluation.measures import per_query
from lurcher.models.ranker.maxsim import maxsim
from lurcher.models.tokens.clustering import ward
from lurcher.models.tokens.coder import TokenCoder, fit
from lurcher.models.tokens.products import Vectors

D, VOCABULARY = 32, 40
# One passage of one token, one of none, one of common tokens alone.
LENGTHS = [20, 1, 0, 15, 4, 30]
STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
FREQUENCY = np.where(np.arange(VOCABULARY) < 4, 0.8, 0.1).astype(np.float32)


def draw(seed: int, *shape: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


STATES = draw(0, STARTS[-1], D).astype(np.float16)
IDS = np.random.default_rng(1).integers(0, VOCABULARY, STARTS[-1])
IDS[STARTS[4] : STARTS[5]] = 2


def coder_of(bits: int, seed: int) -> TokenCoder:
    return fit([STATES.astype(np.float32)], D, FREQUENCY, bits, seed)


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    whole = coder_of(D, 0)
    return Candidates(
        rows=np.array([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]]),
        dense=draw(2, 2, 6),
        grades=np.array([[0, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 1]], np.float32),
        ideal=np.array([2 + 1 / np.log2(3), 1], np.float32),
        states=STATES,
        ids=IDS,
        starts=STARTS,
        query_states=draw(3, 9, D),
        query_ids=np.array([0, 9, 1, 8, 2, 7, 3, 6, 5]),
        query_starts=np.array([0, 4, 9]),
        mean=whole.mean,
        components=whole.projection.passages @ rotation(D, 0).T,
        frequency=FREQUENCY,
        reciprocal=False,
    )


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("share", [1.0, 0.36, 0.01])
def test_the_default_gives_the_scores_that_a_bundle_would(
    candidates: Candidates, bits: int, share: float
) -> None:
    late, size = Variants(candidates).late(Variant(bits, share), seed=5)
    coder = coder_of(bits, 5)
    coded = [
        coder.code(STATES[a:b].astype(np.float32), IDS[a:b].tolist(), share)
        for a, b in pairwise(STARTS)
    ]
    for query, rows in enumerate(candidates.rows):
        own = slice(*candidates.query_starts[query : query + 2])
        ids = candidates.query_ids[own].tolist()
        points, weights = coder.queries(candidates.query_states[own], ids)
        codes = np.concatenate([coded[row].codes for row in rows])
        counts = np.array([len(coded[row].codes) for row in rows])
        np.testing.assert_allclose(late[query], maxsim(points, weights, codes, counts), atol=1e-4)
    stored = sum(len(one.codes) for one in coded) * (bits // 8 + 1) + 4 * len(coded)
    assert size == pytest.approx(stored / len(IDS))


def test_every_alternative_says_something_else(candidates: Candidates) -> None:
    variants = Variants(candidates)
    default = Variant(16, 0.36)
    changed: list[dict[str, object]] = [
        {"merging": "bipartite"}, {"common": "kept"}, {"common": "shared"},
        {"projection": "random", "rotation": "none"}, {"rotation": "none"}, {"rotation": "itq"},
        {"centred": "passages"}, {"centred": "neither"}, {"rounded": False}, {"weights": "equal"},
        {"queries": "int8"}, {"queries": "1 bit"},
    ]  # fmt: skip
    usual, _ = variants.late(default, 0)
    for change in changed:
        late, _ = variants.late(replace(default, **change), 0)  # type: ignore[arg-type]  # of any kind
        assert np.isfinite(late).all()
        assert np.abs(late).max() <= 1 + 1e-4, change
        assert np.abs(late - usual).max() > 1e-5, change


def test_only_what_is_turned_and_rounded_depends_on_the_seed(candidates: Candidates) -> None:
    variants = Variants(candidates)
    for variant in (
        Variant(16, 0.36), Variant(16, 0.36, rotation="none"), Variant(16, 0.36, rounded=False),
        Variant(16, 0.36, projection="random", rotation="none"),
    ):  # fmt: skip
        differ = np.abs(variants.late(variant, 0)[0] - variants.late(variant, 1)[0]).max()
        # Not rounded to a bit still means float16.
        assert bool(differ > 0.01) == variant.random, variant


def test_float16_states_of_all_tokens_meet_by_their_cosine(candidates: Candidates) -> None:
    variant = Variant(D, 1, common="kept", rounded=False, centred="neither", weights="equal")
    late, size = Variants(candidates).late(variant, 0)
    asked = candidates.query_states[:4]
    passage = STATES[: LENGTHS[0]].astype(np.float32)
    cosines = (asked / np.linalg.norm(asked, axis=1, keepdims=True)) @ (
        passage / np.linalg.norm(passage, axis=1, keepdims=True)
    ).T
    assert late[0, 0] == pytest.approx(cosines.max(axis=1).mean(), abs=2e-3)
    assert size == pytest.approx((len(IDS) * (2 * D + 1) + 4 * len(LENGTHS)) / len(IDS))


def test_quality_is_what_the_reference_measures(candidates: Candidates) -> None:
    generator = np.random.default_rng(0)
    grades = (generator.random((30, 25)) < 0.1) * generator.integers(1, 3, (30, 25))
    grades[:, 0] = 1
    scores = draw(4, 30, 25)
    best = -np.sort(-grades, axis=1)[:, :10]
    ideal = (best / np.log2(np.arange(2, 12))).sum(axis=1).astype(np.float32)
    some = replace(candidates, grades=grades.astype(np.float32), ideal=ideal)
    names = [f"q{i}" for i in range(30)]
    rankings = [
        [(f"p{j}", float(row[j])) for j in np.argsort(-row, kind="stable")] for row in scores
    ]
    qrels = {
        name: {f"p{j}": int(g) for j, g in enumerate(row)}
        for name, row in zip(names, grades, strict=True)
    }
    expected = per_query(names, rankings, qrels)
    assert some.quality(scores) == pytest.approx(expected["nDCG@10"].mean(), abs=1e-5)
    reciprocal = replace(some, reciprocal=True)
    assert reciprocal.quality(scores) == pytest.approx(expected["MRR@10"].mean(), abs=1e-5)


@given(st.integers(2, 40), st.integers(1, 45), st.integers(0, 1_000))
@settings(max_examples=50, deadline=None)
def test_a_cut_tree_merges_as_the_shipped_clustering(n: int, count: int, seed: int) -> None:
    points = draw(seed, n, 6)
    found = cut(linkage(points, "ward")[:, :2].astype(np.int32), count)
    expected = ward(points, count)
    assert len(set(zip(found.tolist(), expected.tolist(), strict=True))) == len(set(found.tolist()))
    assert len(set(expected.tolist())) == len(set(found.tolist())) == min(n, count)


@given(st.integers(1, 40), st.integers(1, 45), st.integers(0, 1_000))
@settings(max_examples=50, deadline=None)
def test_bipartite_merging_leaves_so_many(n: int, count: int, seed: int) -> None:
    found = bipartite(draw(seed, n, 6), count)
    assert sorted(set(found.tolist())) == list(range(min(n, count)))


def test_bipartite_merging_takes_the_likest_pair_first() -> None:
    points = np.array([[1, 0], [0, 1], [0.1, 1], [-1, 0]], np.float32)
    assert bipartite(points, 3).tolist() == [0, 1, 1, 2]


def test_itq_brings_points_nearer_to_their_signs() -> None:
    points = draw(5, 400, 8) * np.linspace(0.2, 2, 8, dtype=np.float32)
    before = rotation(8, 0)
    after = itq(points, before, 30)
    np.testing.assert_allclose(after.T @ after, np.eye(8), atol=1e-5)

    def error(turn: Vectors) -> float:
        turned = points @ turn
        return float(((turned - np.sign(turned)) ** 2).mean())

    assert error(after) < error(before)


def test_tables_and_plot_of_a_tiny_set(
    bundle: Path, write_jsonl: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run finds the states that the first has kept."""
    data = tmp_path / "data" / "tiny"
    (data / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{i}", "text": "wind turbine"} for i in range(3)]
    write_jsonl(data / "queries.jsonl", queries)
    judged = [f"q{i}\tp{j}\t1\n" for i in range(3) for j in range(i, 80, 3)]
    (data / "qrels" / "dev.tsv").write_text("q\tp\tg\n" + "".join(judged))
    monkeypatch.setattr(bench, "SETS", (DevelopmentSet("tiny", "dev", 2, 40),))
    whole = Variant(32, 1, common="kept")
    monkeypatch.setattr(bench, "_WHOLE", whole)
    monkeypatch.setattr(bench, "_DEFAULT", Variant(16, 0.5))
    monkeypatch.setattr(bench, "_CURVE", {8: (0.5, 1), 16: (0.5,)})
    ablation = {"as it ships": Variant(16, 0.5), bench.WHOLE: whole}
    monkeypatch.setattr(bench, "_ABLATION", ablation)
    out, work = tmp_path / "out", tmp_path / "work"
    folders = (bundle.parent, tmp_path / "data", work, out)
    bench.main(*folders)
    kept = {file: file.stat().st_mtime_ns for file in work.iterdir()}
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    bench.main(*folders)
    assert {file: file.stat().st_mtime_ns for file in work.iterdir()} == kept
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written
    rows = json.loads(written["rows.json"])
    assert [row["label"] for row in rows[:4]] == [
        "first stage", "8 bits, 1", "8 bits, 0.5", "16 bits, 0.5",
    ]  # fmt: skip
    assert rows[0]["part"] == "first stage"
    by_label = {row["label"]: row for row in rows}
    assert by_label["as it ships"]["quality"] == by_label["16 bits, 0.5"]["quality"]
    assert {row["part"] for row in rows} == {"first stage", "curve", "ablation", "mixing"}
    assert "| as it ships |" in written["table.md"].decode()
    assert set(written) == {"rows.json", "table.md", "plot.svg"}
