"""An encoder's folder with a student in it, made from files that are there already."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lurcher.errors import FieldError, ModelNotFound
from lurcher.models.encoders.config import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    EncoderConfig,
    load_config,
)
from lurcher.models.encoders.student import QUERY_GRAPH, StudentConfig, load_student

Place = Callable[[Path, Path], object]


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, or a copy where the file system cannot.

    For files that nobody writes to any more: a change of the one would be a change of the other.
    Raises OSError.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, one without links, another user's file
        shutil.copyfile(source, target)


def merge(
    teacher: Path, student: Path | None, out: Path, place: Place = link_or_copy
) -> EncoderConfig:
    """The configuration of ``out``, a new folder with the encoder in ``teacher`` and the student.

    Passages are encoded as before, queries by the student in the folder ``student``. None leaves out
    the one that ``teacher`` may have: the passages' graph reads queries then. ``place`` puts the
    teacher's files there; the student's is copied, as a training may write to it again.

    Raises FieldError for a student of another teacher or dimension, ModelNotFound, ModelError, OSError.
    """
    config = load_config(teacher)
    described = None if student is None else student_of(config, student)
    graph = config.passage_graph if described is None else QUERY_GRAPH
    merged = config.model_copy(update={"student": described, "query_graph": graph})
    out.mkdir()
    if student is not None:
        shutil.copyfile(student / QUERY_GRAPH, out / QUERY_GRAPH)
    _place(merged, teacher, out, place)
    return merged


def copy_encoder(folder: Path, out: Path) -> EncoderConfig:
    """The configuration of ``out``, a new folder with a copy of the encoder in ``folder``.

    Raises ModelNotFound, ModelError, OSError.
    """
    config = load_config(folder)
    out.mkdir()
    _place(config, folder, out, shutil.copyfile)
    return config


def student_of(encoder: EncoderConfig, folder: Path) -> StudentConfig:
    """The student in ``folder``, which can read queries for passages of ``encoder``.

    Raises FieldError where it cannot, for its teacher or its dimension; ModelNotFound, ModelError.
    """
    student = load_student(folder)
    if student.dimension != encoder.dimension:
        raise FieldError(
            "student",
            f"{student.name} has {student.dimension} dimensions, and the encoder "
            f"{encoder.name} has {encoder.dimension}",
        )
    if student.teacher != encoder.fingerprint:
        raise FieldError(
            "student",
            f"{student.name} was aligned to the encoder {student.teacher}, and this one, "
            f"{encoder.name}, is {encoder.fingerprint}; make one for it with `lurcher compress`",
        )
    if not (folder / QUERY_GRAPH).is_file():
        raise ModelNotFound(f"{folder}: not a student: it has no {QUERY_GRAPH}")
    return student


def _place(config: EncoderConfig, source: Path, out: Path, place: Place) -> None:
    """Put into ``out`` the files of ``source`` that ``config`` needs and that are not there yet."""
    names = {config.passage_graph, config.query_graph, TOKENIZER_FILE}
    if (source / VOCABULARY_FILE).exists():
        names.add(VOCABULARY_FILE)
    for name in sorted(names):
        if not (out / name).exists():
            place(source / name, out / name)
    (out / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
