"""A student beside its teacher's files: one full encoder, and no byte more than it takes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.errors import FieldError, ModelError, ModelNotFound
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import copy_encoder, merge
from lurcher.models.encoders.student import load_student
from tests.tiny import TINY

WriteStudent = Callable[..., Path]
TEACHERS = ["encoder.onnx", "tokenizer.json", "vocabulary.bin"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "merged"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    copy_encoder(TINY, tmp_path / "teacher")
    return tmp_path / "teacher"


def test_the_merged_folder_is_an_encoder(write_student: WriteStudent, out: Path) -> None:
    folder = write_student()
    config = merge(TINY, folder, out)
    assert load_config(out) == config
    assert config.student == load_student(folder)
    unchanged = {"query_graph": "encoder.onnx", "student": None}
    assert config.model_copy(update=unchanged) == load_config(TINY)
    assert sorted(f.name for f in out.iterdir()) == sorted([*TEACHERS, "config.json", "query.onnx"])
    texts = ["a cat", "the valley of a glacier"]
    wanted = Encoder.load(TINY, "query", 1).encode(texts)
    np.testing.assert_array_equal(Encoder.load(out, "query", 1).encode(texts), wanted)


def test_queries_are_read_by_the_student_and_passages_by_the_teacher(
    write_student: WriteStudent, out: Path
) -> None:
    folder = write_student()
    (folder / "query.onnx").write_bytes(b"no graph")
    merge(TINY, folder, out)
    assert Encoder.load(out, "passage", 1).encode(["a cat"]).shape == (1, 96)
    assert Encoder.load(out, "teacher", 1).encode(["a cat"]).shape == (1, 96)
    with pytest.raises(ModelError, match=r"query\.onnx"):
        Encoder.load(out, "query", 1)


def test_the_teachers_files_are_shared_and_the_students_are_not(
    write_student: WriteStudent, teacher: Path, out: Path
) -> None:
    student = write_student()
    merge(teacher, student, out)
    assert all((out / name).samefile(teacher / name) for name in TEACHERS)
    assert not (out / "query.onnx").samefile(student / "query.onnx")
    assert not (out / "config.json").samefile(teacher / "config.json")


def test_where_nothing_can_be_linked_it_is_copied(
    write_student: WriteStudent, teacher: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    merge(teacher, write_student(), out)
    for name in TEACHERS:
        assert not (out / name).samefile(teacher / name)
        assert (out / name).read_bytes() == (teacher / name).read_bytes()


def test_a_student_takes_anothers_place_and_can_be_left_out_again(
    write_student: WriteStudent, tmp_path: Path
) -> None:
    merge(TINY, write_student(name="one"), tmp_path / "one")
    second = merge(tmp_path / "one", write_student(name="two"), tmp_path / "two")
    assert second.student is not None
    assert second.student.name == "two"
    assert merge(tmp_path / "two", None, tmp_path / "none") == load_config(TINY)
    assert not (tmp_path / "none" / "query.onnx").exists()
    wanted = (TINY / "config.json").read_bytes()
    assert (tmp_path / "none" / "config.json").read_bytes() == wanted


def test_a_copy_keeps_its_student(write_student: WriteStudent, out: Path, tmp_path: Path) -> None:
    merged = merge(TINY, write_student(), out)
    assert copy_encoder(out, tmp_path / "copy") == merged
    for file in out.iterdir():
        assert (tmp_path / "copy" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dimension": 768}, "twin has 768 dimensions, and the encoder tiny has 96"),
        ({"teacher": "sha256:" + "1" * 64}, "twin was aligned to the encoder sha256:1{64}, and"),
    ],
)
def test_a_student_of_another_is_refused(
    write_student: WriteStudent, out: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(FieldError, match=f"student: {named}") as caught:
        merge(TINY, write_student(**changes), out)
    if "teacher" in changes:
        assert load_config(TINY).fingerprint in caught.value.reason
    assert not out.exists()


def test_half_a_student_is_refused(write_student: WriteStudent, out: Path, tmp_path: Path) -> None:
    folder = write_student()
    (folder / "query.onnx").unlink()
    with pytest.raises(ModelNotFound, match=r"it has no query\.onnx"):
        merge(TINY, folder, out)
    shutil.rmtree(folder)
    with pytest.raises(ModelNotFound, match="no such folder"):
        merge(TINY, folder, out)
    with pytest.raises(ModelNotFound, match="not an encoder"):
        merge(tmp_path / "none", write_student(name="other"), out)
    assert not out.exists()
