"""Answers that are refused before anything is read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH
from tests.index_builder.answers.answering import ANSWERS, SHIPPED, another_reader
from tests.tiny import TINY, TinyOptions, build


def test_answers_need_tokens() -> None:
    with pytest.raises(FieldError, match="answers: need the tokens"):
        TinyOptions(answers=True, tokens=None)


@pytest.mark.parametrize(("field", "value"), [("reader", SHIPPED), ("answer_bits", 64)])
def test_what_is_for_answers_goes_with_them(field: str, value: Any) -> None:
    with pytest.raises(FieldError, match=f"{field}: is for answers"):
        TinyOptions(**{field: value})


def test_an_encoder_without_lower_states_cannot_answer(
    bad_corpus: Path, out: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(TINY, tmp_path / "old")
    config = json.loads((old / "config.json").read_text())
    del config["lower_states"]
    (old / "config.json").write_text(json.dumps(config))
    for options in (replace(ANSWERS, encoder=old), replace(ANSWERS, encoder=old, answer_bits=64)):
        with pytest.raises(
            FieldError, match=r"answers: .* gives no lower states .*`lurcher export`"
        ):
            build(bad_corpus, out, options)
    assert not out.exists()


@pytest.mark.parametrize("bits", [0, -8, 20, 104])
def test_bits_that_cannot_be_had_are_named(bad_corpus: Path, out: Path, bits: int) -> None:
    with pytest.raises(
        FieldError, match=f"answer_bits: .* from 8 to 96, the encoder's, not {bits}"
    ):
        build(bad_corpus, out, replace(ANSWERS, answer_bits=bits))
    assert [file.name for file in out.parent.iterdir()] == [bad_corpus.name]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": f"sha256:{'f' * 64}"}, "does not fit: it was trained for another encoder"),
        ({"dimension": 768}, "does not fit: it was trained for another dimension: 768, not 96"),
        ({"bits": 12}, "bits: "),
        ({"surprise": 1}, "surprise: "),
    ],
)
def test_a_reader_that_does_not_fit_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    mine = another_reader(tmp_path / "mine", **changes)
    with pytest.raises(ModelError, match=reason):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))
    assert {file.name for file in tmp_path.iterdir()} == {bad_corpus.name, "mine"}


def test_a_reader_that_was_trained_on_more_bits_than_there_are_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path
) -> None:
    mine = another_reader(tmp_path / "mine", bits=104)
    with pytest.raises(FieldError, match=r"answer_bits: .* not 104"):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))


@pytest.mark.parametrize(
    ("file", "raw", "error"),
    [
        (READER_GRAPH, b"no graph", ModelError),
        (READER_GRAPH, (TINY / "ranker" / "query.onnx").read_bytes(), ModelError),
        (READER_FILE, b"{", ModelError),
        (READER_FILE, None, ModelNotFound),
    ],
)
def test_a_reader_that_cannot_be_used_is_refused(
    bad_corpus: Path, out: Path, tmp_path: Path, file: str, raw: bytes | None, error: type
) -> None:
    mine = another_reader(tmp_path / "mine")
    (mine / file).unlink()
    if raw is not None:
        (mine / file).write_bytes(raw)
    with pytest.raises(error, match=str(mine)):
        build(bad_corpus, out, replace(ANSWERS, reader=mine))
    assert not out.exists()


def test_an_encoder_without_a_reader_says_how_to_get_one(
    bad_corpus: Path, out: Path, readerless: Path
) -> None:
    said = "answers: .* has no reader; `lurcher train reader` makes one"
    with pytest.raises(FieldError, match=said):
        build(bad_corpus, out, replace(ANSWERS, encoder=readerless))
