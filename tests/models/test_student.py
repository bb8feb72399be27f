"""What an encoder's and a student's folder say of themselves, read strictly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import VOCABULARY_FILE, fingerprint, load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.student import STUDENT_FILE, Figure, load_student
from lurcher.models.pretrained import DEFAULT_ENCODER, PROFILES

WriteStudent = Callable[..., Path]


def change(folder: Path, file: str, **changes: Any) -> None:
    found = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(found | changes))


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A copy of the default encoder to spoil."""
    names = ("encoder.onnx", VOCABULARY_FILE, "tokenizer.json", "config.json")
    (tmp_path / "encoder").mkdir()
    for name in names:
        shutil.copyfile(DEFAULT_ENCODER / name, tmp_path / "encoder" / name)
    return tmp_path / "encoder"


def test_a_student_is_read_as_it_was_written(write_student: WriteStudent) -> None:
    student = load_student(write_student(layers=[], sparsity=0.9, pattern="4-block"))
    assert (student.layers, student.sparsity, student.pattern) == ([], 0.9, "4-block")
    assert student.figures[0].retention == pytest.approx(0.75)


def test_of_nothing_all_is_kept() -> None:
    assert Figure(data="d", measure="m", teacher=0, student=0).retention == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sparsity": 1.0}, "sparsity: Input should be less than 1"),
        ({"sparsity": -0.1}, "sparsity: "),
        ({"pattern": "8-block"}, "pattern: "),
        ({"dimension": 0}, "dimension: "),
        ({"teacher": "all-MiniLM"}, "teacher: "),
        ({"name": ""}, "name: "),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_a_student_cannot_be_is_named(
    write_student: WriteStudent, changes: dict[str, Any], named: str
) -> None:
    folder = write_student()
    change(folder, STUDENT_FILE, **changes)
    with pytest.raises(ModelError, match=rf"student\.json: not a student's .*{named}"):
        load_student(folder)


def test_a_folder_that_is_no_student_is_told_from_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"it has no student\.json"):
        load_student(tmp_path)
    with pytest.raises(ModelNotFound, match="no such folder"):
        load_student(tmp_path / "none")


def test_an_encoder_without_a_student_does_not_mention_one() -> None:
    assert "student" not in load_config(DEFAULT_ENCODER).model_dump()
    assert "student" not in load_config(DEFAULT_ENCODER).model_dump_json()


@pytest.mark.parametrize("name", ["../encoder.onnx", "/etc/passwd", "a/b.onnx", "..", ""])
@pytest.mark.parametrize("field", ["query_graph", "passage_graph"])
def test_a_graph_outside_the_folder_is_refused(encoder: Path, field: str, name: str) -> None:
    change(encoder, "config.json", **{field: name})
    with pytest.raises(ModelError, match=f"{field}: String should match"):
        load_config(encoder)


def test_the_fingerprint_is_of_the_vocabulary_too(encoder: Path) -> None:
    config = load_config(encoder)

    def now() -> str:
        return fingerprint(encoder, "encoder.onnx", 256, "", "cosine")

    assert now() == config.fingerprint
    with (encoder / VOCABULARY_FILE).open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"\x01\x02")
    assert now() != config.fingerprint


def test_a_vocabulary_that_is_missing_or_cut_short_is_an_error(encoder: Path) -> None:
    file = encoder / VOCABULARY_FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"encoder\.onnx: .*out of bounds or can not be read"):
        Encoder.load(encoder, "passage", 1)
    file.unlink()
    with pytest.raises(ModelError, match=r"encoder\.onnx: .*does not exist: .*vocabulary\.bin"):
        Encoder.load(encoder, "passage", 1)


def test_each_profile_is_a_student_of_the_default_encoder() -> None:
    for name, folder in PROFILES.items():
        if folder is not None:
            student = load_student(folder)
            assert student.name == name
            assert student.teacher == load_config(DEFAULT_ENCODER).fingerprint
            assert student.figures
    assert PROFILES["best"] is None
