"""``lurcher compress``: what its flags mean, and what it says of bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

from lurcher import cli
from lurcher.errors import CorpusError, FieldError, LurcherError, ModelNotFound
from lurcher.models.encoders.student import Figure, StudentConfig
from lurcher.training import compress
from lurcher.training.alignment.make_student import MIX, Plan

Given = dict[str, Any]
Lurcher = Callable[..., Any]


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    file = tmp_path / "queries.jsonl"
    lines = [{"_id": str(i), "text": f"question {i}"} for i in range(40)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.fixture
def lurcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lurcher:
    """Runs ``lurcher compress`` in an empty folder and gives back what came of it."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Any:
        return CliRunner().invoke(cli.app, ["compress", *map(str, words)])

    return run


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What the command passes on, in place of a training."""
    passed: Given = {}

    def stand_in(target: Path, texts: list[str], out: Path, plan: Plan, **rest: Any) -> Any:
        passed.update(rest, target=target, texts=texts, out=out, plan=plan)
        rest["report"]("step 1 of 1")
        figure = Figure(data="dev", measure="nDCG@10", teacher=0.5, student=0.4)
        return StudentConfig(
            name="tiny", teacher="sha256:" + "0" * 64, dimension=32, layers=[0, 5], sparsity=0.5, rank=0,
            pattern="4-block", precision="int8", activations="static", losses={}, queries=1, seed=0,
            figures=[figure],
        )  # fmt: skip

    monkeypatch.setattr(compress, "compress", stand_in)
    return passed


def test_without_flags_all_layers_are_aligned_by_the_default_mix(
    lurcher: Lurcher, given: Given, queries: Path
) -> None:
    ended = lurcher("my.lurcher", "--queries", queries, "--out", "tiny")
    assert ended.exit_code == 0, ended.output
    assert given["target"] == Path("my.lurcher")
    assert given["out"] == Path("tiny")
    assert given["plan"] == Plan(losses=MIX)
    assert given["plan"].int8
    assert given["texts"] == [f"question {i}" for i in range(40)]
    assert given["corpus_texts"] == 20_000
    assert given["original"] is None
    assert given["judged"] is None
    assert ended.stdout.startswith("tiny: tiny, 2 layers, int8\n")
    assert "0.4000 of 0.5000: 80.0% kept" in ended.stdout
    assert ended.stderr == "step 1 of 1\n"


def test_without_queries_the_bundles_own_texts_are_all_there_is(
    lurcher: Lurcher, given: Given
) -> None:
    ended = lurcher("my.lurcher", "--out", "tiny", "--corpus-texts", "500")
    assert ended.exit_code == 0, ended.output
    assert given["texts"] == []
    assert given["corpus_texts"] == 500


def test_each_flag_is_a_part_of_the_plan(lurcher: Lurcher, given: Given, queries: Path) -> None:
    flags = (
        "--layers 0,5 --sparsity 0.9 --pattern 4-block --rank 0 --no-int8 --losses l2:2,tokens --epochs 0.5 "
        "--batch 8 --learning-rate 1e-4 --checks 3 --seed 7 --original folder"
    )
    ended = lurcher("teacher", "--queries", queries, "--out", "tiny", *flags.split())
    assert ended.exit_code == 0, ended.output
    assert given["plan"] == Plan(
        layers=(0, 5), sparsity=0.9, pattern="4-block", rank=0, int8=False, losses={"l2": 2.0, "tokens": 1.0},
        epochs=0.5, queries_a_batch=8, learning_rate=1e-4, checks=3, seed=7, device="cpu",
    )  # fmt: skip
    assert given["original"] == "folder"


@pytest.mark.parametrize(
    ("flags", "layers", "depth"),
    [
        (["--layers", "none"], (), None),
        (["--layers", "3"], (3,), None),
        (["--depth", "2"], None, 2),
    ],
)
def test_layers_by_name_or_number(
    lurcher: Lurcher, given: Given, queries: Path, flags: list[str], layers: Any, depth: Any
) -> None:
    assert lurcher("t", "--queries", queries, "--out", "tiny", *flags).exit_code == 0
    assert (given["plan"].layers, given["plan"].depth) == (layers, depth)


def test_several_files_are_read_and_judgements_go_by_their_files_name(
    lurcher: Lurcher, given: Given, queries: Path, tmp_path: Path
) -> None:
    (tmp_path / "more.jsonl").write_text('{"_id": "0", "text": "another"}\n')
    (tmp_path / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n3\tp\t1\n")
    words = ["--queries", queries, "--queries", "more.jsonl"]
    judged = ["--dev-queries", queries, "--dev-qrels", "dev.tsv"]
    assert lurcher("b", *words, *judged, "--out", "tiny").exit_code == 0
    assert given["texts"][-2:] == ["question 39", "another"]
    assert given["judged"].name == "dev"
    assert given["judged"].queries["3"] == "question 3"
    assert given["judged"].qrels == {"3": {"p": 1}}


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--layers 0,x", "layers: '0,x' is not layer numbers such as 0,5, or none"),
        ("--layers 0,,5", "layers: '0,,5'"),
        ("--layers 0 --depth 1", "depth: goes without layers"),
        ("--sparsity 1", "sparsity: 1.0 is not at least 0 and below 1"),
        ("--sparsity -0.5", "sparsity: -0.5"),
        ("--rank -1", "rank: must be at least 0, not -1"),
        ("--losses l2:much", "losses: 'l2:much': 'much' is not a number"),
        ("--losses hinge", "losses: no loss 'hinge'; there are: kl, l2, cosine, scores, tokens"),
        ("--losses l2:0", "losses: must be above 0"),
        ("--epochs 0", "epochs: must be above 0"),
        ("--batch 0", "batch: must be above 0"),
        ("--learning-rate nan", "learning_rate: must be above 0"),
        ("--checks 0", "checks: must be above 0"),
        ("--seed -1", "seed: must not be below 0"),
        ("--dev-queries queries.jsonl", "dev_qrels: goes with dev_queries: pass both or neither"),
    ],
)
def test_a_bad_flag_is_named_and_nothing_is_made(
    lurcher: Lurcher, queries: Path, tmp_path: Path, flags: str, named: str
) -> None:
    ended = lurcher("teacher", "--queries", queries, "--out", "tiny", *flags.split())
    assert isinstance(ended.exception, FieldError)
    assert str(ended.exception).startswith(named)
    assert list(tmp_path.iterdir()) == [queries]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--pattern 8-block", "--pattern"),
        ("--device tpu", "--device"),
        ("--sparsity much", "--sparsity"),
        ("--no-such-flag", "--no-such-flag"),
    ],
)
def test_what_typer_refuses(lurcher: Lurcher, queries: Path, flags: str, named: str) -> None:
    ended = lurcher("teacher", "--queries", queries, "--out", "tiny", *flags.split())
    assert ended.exit_code == 2
    assert named in ended.stderr


@pytest.mark.parametrize(
    ("content", "kind", "named"),
    [
        ("", CorpusError, r"bad.jsonl: no query in it"),
        ('{"_id": "1"}\n', CorpusError, r"bad.jsonl, line 1: needs an _id"),
        (None, CorpusError, r"bad.jsonl: No such file"),
    ],
)
def test_a_bad_file_of_queries_is_named(
    lurcher: Lurcher, tmp_path: Path, content: str | None, kind: type[LurcherError], named: str
) -> None:
    if content is not None:
        (tmp_path / "bad.jsonl").write_text(content)
    ended = lurcher("teacher", "--queries", "bad.jsonl", "--out", "tiny")
    assert isinstance(ended.exception, kind)
    assert named in str(ended.exception)
    assert not (tmp_path / "tiny.partial").exists()


def test_a_teacher_that_is_not_there_and_a_folder_that_is(
    lurcher: Lurcher, queries: Path, tmp_path: Path
) -> None:
    ended = lurcher("nothing", "--queries", queries, "--out", "tiny")
    assert isinstance(ended.exception, ModelNotFound)
    assert str(ended.exception).startswith("nothing: ")
    (tmp_path / "tiny").mkdir()
    ended = lurcher("nothing", "--queries", queries, "--out", "tiny")
    assert isinstance(ended.exception, FieldError)
    assert str(ended.exception) == "out: tiny exists already; name a new one or remove it first"
