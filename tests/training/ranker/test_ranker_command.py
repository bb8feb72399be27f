"""``lurcher train ranker``: from files to a decoder's folder, killed or not, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

from lurcher.bundle.bundle import Bundle
from lurcher.cli import app
from lurcher.errors import CorpusError, FieldError, LurcherError, ModelError
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.ranker.decoder import Decoder as Exported
from lurcher.training.ranker.cross_scores import read_cross_scores
from lurcher.training.ranker.decoder_training import Schedule
from lurcher.training.ranker.questions import (
    Judged,
    judged,
)
from lurcher.training.ranker.train import Plan, Sources, train_ranker
from tests.killed import KilledError

SCHEDULE = Schedule(steps=12, batch=8, negatives=9, learning_rate=5e-3, mean=0.5, checks=3)
PLAN = Plan(width=16, heads=2, candidates=20, schedule=SCHEDULE)


@pytest.fixture
def files(tmp_path: Path, asked: Judged, opened: Bundle) -> Sources:
    """The questions as files, the last eight to choose weights by."""

    def write(name: str, places: range) -> tuple[Path, Path]:
        queries, qrels = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.tsv"
        lines = [{"_id": asked.ids[i], "text": asked.texts[i]} for i in places]
        queries.write_text("".join(json.dumps(line) + "\n" for line in lines))
        pairs = [(asked.ids[i], row, g) for i in places for row, g in asked.relevant[i].items()]
        rows = opened.passages.get([row for _, row, _ in pairs])
        judgements = [f"{q}\t{p.id}\t{g}" for (q, _, g), p in zip(pairs, rows, strict=True)]
        qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judgements]) + "\n")
        return queries, qrels

    return Sources(*write("train", range(32)), write("dev", range(32, 40)))


# --- from files to a folder


def test_decoder_from_files(bundle: Path, files: Sources, opened: Bundle, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", list[str]()
    config = train_ranker(bundle, files, out, PLAN, lines.append)
    assert {file.name for file in out.iterdir()} == {
        "query.onnx", "pair.onnx", "decoder.json", "curve.csv", "curve.svg",
    }  # fmt: skip
    assert not out.with_name("out.partial").exists()
    decoder = Exported.load(out, 1)
    assert decoder.config == config
    assert opened.tokens is not None
    decoder.check(opened.manifest.encoder, opened.tokens.coder)
    assert config.name == "out"
    assert config.questions == 32
    assert config.candidates == 20
    assert config.figures.keys() == {"MRR@10", "nDCG@10"}
    assert config.figures["nDCG@10"][1] >= config.figures["nDCG@10"][0]
    assert lines[0] == "development: 8 of 8 searched"
    assert lines[-1].startswith("step 12 of 12: loss ") or "late interaction" in lines[-1]
    with pytest.raises(FieldError, match="exists already"):
        train_ranker(bundle, files, out, PLAN)


def test_killed_command_goes_on_and_another_plan_starts_afresh(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def killed(plan: Plan) -> list[str]:
        lines: list[str] = []

        def report(line: str) -> None:
            lines.append(line)
            if line.startswith("step 8"):
                raise KilledError

        with pytest.raises(KilledError):
            train_ranker(bundle, files, out, plan, report)
        assert not out.exists()
        return lines

    assert any("searched" in line for line in killed(PLAN))
    assert [line.split(":")[0] for line in killed(PLAN)] == ["step 8 of 12"]
    wider = Plan(width=24, heads=2, candidates=20, schedule=SCHEDULE)
    assert any("searched" in line for line in killed(wider))
    train_ranker(bundle, files, out, wider)
    assert Exported.load(out, 1).config.width == 24


def test_a_decoder_has_the_name_it_is_given(bundle: Path, files: Sources, tmp_path: Path) -> None:
    config = train_ranker(bundle, files, tmp_path / "out", PLAN, name="ours, of March")
    assert config.name == "ours, of March"
    with pytest.raises(FieldError, match="name: must hold"):
        train_ranker(bundle, files, tmp_path / "other", PLAN, name=" ")


def test_without_development_queries_some_are_held_out(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    alone = Sources(files.queries, files.qrels)
    config = train_ranker(bundle, alone, tmp_path / "out", PLAN)
    assert config.questions == 29


def test_scores_of_a_cross_encoder_change_what_is_learnt(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    file = tmp_path / "scores.tsv"
    file.write_text("".join(f"q{q}\tp{p}\t{(q * p) % 7}\n" for q in range(40) for p in range(80)))
    said = Sources(files.queries, files.qrels, files.development, file)
    for sources, name in ((files, "plain"), (said, "said")):
        train_ranker(bundle, sources, tmp_path / name, PLAN)
    plain, other = ((tmp_path / n / "curve.csv").read_text() for n in ("plain", "said"))
    assert plain.splitlines()[1] == other.splitlines()[1]
    assert plain != other


# --- bad input


def test_bundle_without_tokens(
    teacher: Path, files: Sources, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "water"}])
    build(corpus, tmp_path / "bare.lurcher", BuildOptions(teacher, tokens=None))
    with pytest.raises(ModelError, match="has no tokens to train a ranker on; `lurcher build`"):
        train_ranker(tmp_path / "bare.lurcher", files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_unknown_ids_are_named_or_skipped(opened: Bundle) -> None:
    texts, source = {"a": "water", "b": "wind"}, Path("qrels.tsv")
    qrels = {"a": {"p1": 1, "px": 2, "p2": 0}, "z": {"p3": 1}, "b": {"py": 1}}
    with pytest.raises(CorpusError, match=r"qrels.tsv: 1 judged queries .*first: 'z'.*--skip-unkn"):
        judged(opened, texts, qrels, source)
    del qrels["z"]
    with pytest.raises(CorpusError, match=r"2 relevant passages are not in .*first: 'px', 'py'"):
        judged(opened, texts, qrels, source)
    (row,) = opened.passages.rows_of(["p1"]).values()
    found = judged(opened, texts, qrels | {"z": {"p3": 1}}, source, skip_unknown=True)
    assert (found.ids, found.relevant) == (["a"], [{row: 1}])


def test_qrels_without_an_answer_in_the_corpus(opened: Bundle) -> None:
    for qrels in ({"a": {"px": 1}}, {"a": {"p1": 0}}):
        with pytest.raises(CorpusError, match=r"no passage of .* answers any of its queries"):
            judged(opened, {"a": "water"}, qrels, Path("qrels.tsv"), skip_unknown=True)


def test_too_few_to_train_on(bundle: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    same = Sources(*files.development, files.development)
    with pytest.raises(FieldError, match="0 judged queries are left to train on"):
        train_ranker(bundle, same, tmp_path / "out", PLAN)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("q\tp\t1\nq\tp\n", 2, "2 fields"), ("q\tp\tscore\nq\tp\tx\n", 2, "'x' is not a finite"),
        ("q\tp\tnan\n", 1, "not a finite"), (b"q\tp\xff\t1\n", None, "not UTF-8"),
    ],
)  # fmt: skip
def test_cross_scores_that_cannot_be_read(
    tmp_path: Path, text: str | bytes, line: int | None, reason: str
) -> None:
    file = tmp_path / "scores.tsv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(CorpusError, match=reason) as caught:
        read_cross_scores(file)
    assert caught.value.line == line
    with pytest.raises(CorpusError, match="No such file"):
        read_cross_scores(tmp_path / "nowhere")


def test_cross_scores_of_nothing(bundle: Path, files: Sources, tmp_path: Path) -> None:
    file = tmp_path / "scores.tsv"
    file.write_text("\ufeffquery\tpassage\tscore\nq0\tpx\t1\nqx\tp0\t2e0\n\n")
    assert read_cross_scores(file) == {"q0": {"px": 1.0}, "qx": {"p0": 2.0}}
    sources = Sources(files.queries, files.qrels, files.development, file)
    with pytest.raises(CorpusError, match="no score of a query to train on"):
        train_ranker(bundle, sources, tmp_path / "out", PLAN)


def test_full_disk_leaves_nothing_under_the_name(
    bundle: Path, files: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lurcher.training.ranker.train.write_curve", full)
    with pytest.raises(ModelError, match=r"No space left .* kept in .*out\.partial"):
        train_ranker(bundle, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"dropout": 1.0}, "dropout"), ({"candidates": 1}, "candidates"),
        ({"candidates": 101}, "candidates"), ({"heads": 5}, "heads"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Plan(**given)
    assert caught.value.field == field


# --- the command


def test_command(bundle: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    queries, qrels = files.development

    def lurcher(*words: str | Path) -> Any:
        return CliRunner().invoke(app, ["train", "ranker", str(bundle), *map(str, words)])

    out = tmp_path / "decoder"
    pair = ["--queries", files.queries, "--qrels", files.qrels, "--out", out]
    size = ["--width", "8", "--heads", "1", "--steps", "4", "--batch", "8", "--checks", "2"]
    ended = lurcher(*pair, "--dev-queries", queries, "--dev-qrels", qrels, *size)
    assert ended.exit_code == 0, ended.output
    assert "nDCG@10" in ended.output
    assert Exported.load(out, 1).config.width == 8
    shutil.rmtree(out)
    ended = lurcher(*pair, "--dev-queries", queries, *size)
    assert isinstance(ended.exception, LurcherError)
    assert "goes with dev_queries" in str(ended.exception)
