"""A build's passages are encoded by one engine from the first to the last, and the bundle says by which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.errors import ModelError
from lurcher.index_builder.build import BuildOptions, build
from lurcher.index_builder.passage_engine import ENGINE, passage_encoder
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.engines.native import library
from tests.tiny import TINY

GRAPH = TINY / "encoder.onnx"
built = pytest.mark.skipif(library.loaded() is None, reason="no native library was built")


@pytest.fixture(scope="module")
def reference() -> Encoder:
    return Encoder.load(TINY, "passage", 2, "onnxruntime")


@pytest.fixture(scope="module")
def passages(tmp_path_factory: pytest.TempPathFactory) -> Passages:
    file = tmp_path_factory.mktemp("passages") / "passages.db"
    writer = PassageWriter(file)
    writer.append([Passage(str(i), "rye and water " * (i + 1)) for i in range(12)], 12, 0)
    writer.finish()
    return Passages(file)


def chosen(
    reference: Encoder, passages: Passages, scratch: Path, engine: EngineName = "auto"
) -> tuple[str, str]:
    choice = passage_encoder(reference, GRAPH, engine, passages, scratch).choice
    return choice.name, choice.reason


def test_the_trial_is_made_once_and_its_result_kept(
    reference: Encoder, passages: Passages, tmp_path: Path
) -> None:
    first = chosen(reference, passages, tmp_path)
    noted = json.loads((tmp_path / ENGINE).read_text())
    assert (noted["engine"], noted["reason"]) == first
    assert first[0] in ("native", "onnxruntime")
    assert "ONNX Runtime" in first[1] or "native library" in first[1]
    assert chosen(reference, passages, tmp_path) == first  # with the same times in the reason


@built
@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_a_build_that_goes_on_keeps_the_engine(
    reference: Encoder, passages: Passages, tmp_path: Path, engine: str
) -> None:
    (tmp_path / ENGINE).write_text(json.dumps({"engine": engine, "reason": "it was so before"}))
    assert chosen(reference, passages, tmp_path) == (engine, "it was so before")


@pytest.mark.parametrize("note", ["", "[]", '{"engine": "native"}', '{"engine": 3}'])
def test_a_note_that_cannot_be_read_is_made_anew(
    reference: Encoder, passages: Passages, tmp_path: Path, note: str
) -> None:
    (tmp_path / ENGINE).write_text(note)
    name, _ = chosen(reference, passages, tmp_path)
    assert json.loads((tmp_path / ENGINE).read_text())["engine"] == name


def test_an_engine_that_was_asked_for_is_taken_or_an_error(
    reference: Encoder, passages: Passages, tmp_path: Path
) -> None:
    assert chosen(reference, passages, tmp_path, "onnxruntime")[0] == "onnxruntime"
    with pytest.raises(ModelError):
        passage_encoder(reference, TINY / "ranker" / "pair.onnx", "native", passages, tmp_path)


@built
def test_the_bundle_names_the_engine_and_the_same_one_gives_the_same_bytes(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    lines = [{"id": str(i), "text": f"passage {i} of dough " * (i % 5 + 1)} for i in range(40)]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = {}
    for name, engine in {"a": "native", "b": "native", "c": "onnxruntime"}.items():
        options = BuildOptions(TINY, engine=engine)  # type: ignore[arg-type] # names of engines
        made[name] = build(corpus, tmp_path / f"{name}.lurcher", options)
    assert [one.build.engine for one in made.values()] == ["native", "native", "onnxruntime"]
    assert made["a"].build.engine_reason == "it was asked for"
    assert made["a"].files == made["b"].files
    vectors = "segments/000000/vectors.faiss"
    assert made["a"].files[vectors] != made["c"].files[vectors]
