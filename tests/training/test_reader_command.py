"""``lurcher train reader``: from files to a reader's folder, killed or not, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
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
from lurcher.models.reader.reader import Reader as Served
from lurcher.training.ranker.train import Sources
from lurcher.training.reader.batches import Library
from lurcher.training.reader.quality import Reading
from lurcher.training.reader.train import Plan, train_reader
from tests.killed import KilledError
from tests.training.reading import (
    ASKED,
    BITS,
    asked_of,
    small_schedule,
    write_sources,
)

PLAN = Plan(16, 2, 1, 16, small_schedule())


@pytest.fixture(scope="module")
def reading(answering: Bundle, library: Library) -> Reading:
    return Reading.of(answering, library, *asked_of(answering))


@pytest.fixture
def files(tmp_path: Path, answering: Bundle) -> Sources:
    return write_sources(tmp_path, answering)


# --- from files to a folder


def test_reader_from_files(
    answering_path: Path, files: Sources, answering: Bundle, tmp_path: Path
) -> None:
    out, lines = tmp_path / "out", list[str]()
    config = train_reader(answering_path, files, out, PLAN, "mine", lines.append)
    assert {file.name for file in out.iterdir()} == {
        "reader.onnx", "reader.json", "curve.csv", "curve.svg", "reliability.svg",
    }  # fmt: skip
    assert not out.with_name("out.partial").exists()
    assert Served.load(out, 1).config == config
    assert (config.name, config.bits, config.width, config.layers) == ("mine", BITS, 16, 1)
    assert config.encoder == answering.manifest.encoder.fingerprint
    assert config.questions == ASKED
    assert config.steps in (2, 4, 6)
    assert config.figures.keys() >= {"gold_EM", "gold_F1", "open_EM", "open_F1"}
    assert lines[0] == "development: 6 of 6 searched"
    assert any(line.startswith("step 6 of 6: loss ") and "F1 " in line for line in lines)
    assert (out / "curve.csv").read_text().startswith("step,loss,EM,F1\n2,")
    with pytest.raises(FieldError, match="exists already"):
        train_reader(answering_path, files, out, PLAN)


def test_what_was_trained_answers_in_a_bundle(
    answering_path: Path, files: Sources, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = train_reader(answering_path, files, out, PLAN)
    assert config.name == "out"
    options = BuildOptions(teacher, answers=True, reader=out)
    manifest = build(answering_path.parent / "corpus.jsonl", tmp_path / "new.lurcher", options)
    assert manifest.reader == config
    assert manifest.reading is not None
    assert manifest.reading.bits == BITS
    with closing(Bundle.open(tmp_path / "new.lurcher")) as bundle:
        assert bundle.reader(1) is not None


def test_killed_command_goes_on_and_another_plan_starts_afresh(
    answering_path: Path, files: Sources, tmp_path: Path
) -> None:
    whole = train_reader(answering_path, files, tmp_path / "whole", PLAN, "same")
    out = tmp_path / "out"

    def killed(plan: Plan, at: str) -> list[str]:
        lines: list[str] = []

        def report(line: str) -> None:
            lines.append(line)
            if line.startswith(at):
                raise KilledError

        with pytest.raises(KilledError):
            train_reader(answering_path, files, out, plan, "same", report)
        assert not out.exists()
        return [line.split(":")[0] for line in lines]

    assert killed(PLAN, "step 4") == ["development", "questions", "step 2 of 6", "step 4 of 6"]
    # After the last step, while development questions are read, nothing is trained again.
    reading = "reading what searches for the development questions find"
    assert killed(PLAN, "reading what") == ["step 4 of 6", "step 6 of 6", reading]
    assert train_reader(answering_path, files, out, PLAN, "same") == whole
    assert (out / "curve.csv").read_text() == (tmp_path / "whole" / "curve.csv").read_text()
    assert (out / "reader.onnx").read_bytes() == (tmp_path / "whole" / "reader.onnx").read_bytes()
    shutil.rmtree(out)
    killed(PLAN, "step 4")
    assert killed(Plan(20, 2, 1, 16, small_schedule()), "step 2")[0] == "development"


def test_other_answers_start_afresh(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        if line.startswith("step 4"):
            raise KilledError

    for _ in range(2):
        with pytest.raises(KilledError):
            train_reader(answering_path, files, tmp_path / "out", PLAN, None, report)
        first = json.loads(files.queries.read_text().splitlines()[0])
        rest = files.queries.read_text().splitlines()[1:]
        first["answers"] = first["answers"][:1]
        files.queries.write_text("\n".join([json.dumps(first), *rest]) + "\n")
    assert lines.count("questions: 20 of 20 searched") == 2


def test_without_development_questions_some_are_held_out(
    answering_path: Path, files: Sources, tmp_path: Path
) -> None:
    alone = Sources(files.queries, files.qrels)
    config = train_reader(answering_path, alone, tmp_path / "out", PLAN)
    assert config.questions == ASKED - 2


# --- bad input


def test_bundle_without_a_reading_store(
    teacher: Path, files: Sources, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "water"}])
    build(corpus, tmp_path / "bare.lurcher", BuildOptions(teacher))
    with pytest.raises(ModelError, match="has no reading store; `lurcher build --answers`"):
        train_reader(tmp_path / "bare.lurcher", files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_queries_without_answers(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    rewritten(files.queries, lambda line: line.update(answers=["stands nowhere"]))
    with pytest.raises(CorpusError, match="no answer of its queries stands in a passage"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    rewritten(files.queries, lambda line: line.pop("answers"))
    with pytest.raises(CorpusError, match="no query in it has answers"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_nothing_under_the_name(
    answering_path: Path, files: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lurcher.training.reader.train.write_curve", full)
    with pytest.raises(ModelError, match=r"No space left .* kept in .*out\.partial"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [({"width": 0}, "width"), ({"heads": 5}, "heads"), ({"layers": 0}, "layers"), ({"inner": 0}, "inner")],
)  # fmt: skip
def test_plans_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Plan(**given)
    assert caught.value.field == field


# --- the command


def test_command(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    queries, qrels = files.development

    def lurcher(*words: str | Path) -> Any:
        return CliRunner().invoke(app, ["train", "reader", str(answering_path), *map(str, words)])

    out = tmp_path / "reader"
    given = ["--queries", str(files.queries), "--qrels", str(files.qrels), "--out", str(out)]
    size = ["--width", "8", "--heads", "1", "--layers", "1", "--inner", "8"]
    length = ["--steps", "4", "--batch", "8", "--checks", "2", "--name", "mine"]
    ended = lurcher(*given, "--dev-queries", queries, "--dev-qrels", qrels, *size, *length)
    assert ended.exit_code == 0, ended.output
    assert "20 questions, gold_EM" in ended.output
    assert Served.load(out, 1).config.name == "mine"
    shutil.rmtree(out)
    ended = lurcher(*given, "--dev-queries", queries, *size)
    assert isinstance(ended.exception, LurcherError)
    assert "goes with dev_queries" in str(ended.exception)
