"""A bundle with another query encoder: what is shared, what is tuned anew, and what stays as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import PASSAGES, SEGMENT, VECTORS, Bundle
from lurcher.bundle.index_building import build_index
from lurcher.bundle.manifest import hash_file, list_files, read_manifest, write_manifest
from lurcher.bundle.token_store import CODER
from lurcher.bundle.vectors import Vectors, write_index
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleError, FieldError, ModelError, ModelNotFound
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.search_effort import recall
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.student import load_student
from tests.tiny import TINY, TinyOptions, build

WriteStudent = Callable[..., Path]
State = Callable[[Path], dict[str, Any]]

TOKENS = [f"{SEGMENT}/tokens.{part}" for part in ("bin", "pos", "idx")]


def test_the_new_bundle_is_sound_and_says_who_reads_queries(
    old: Path, write_student: WriteStudent
) -> None:
    student = write_student(name="my student")
    out, manifest = swap_encoder(old, student)
    assert out == old.with_name("small-my-student.lurcher")
    assert verify(out) == []
    assert read_manifest(out).model_copy(update={"checksum": manifest.checksum}) == manifest
    assert manifest.name == "small-my-student"
    assert manifest.encoder.student == load_student(student)
    assert manifest.encoder.student.figures[0].retention == pytest.approx(0.75)
    assert manifest.swap is not None
    assert manifest.swap.model_dump() == {"built_effort": None, "built_recall": 1.0, "recall": 1.0}
    before = read_manifest(old)
    for part in ("build", "segments", "tokens"):
        assert getattr(manifest, part) == getattr(before, part)
    with closing(Bundle.open(out)) as bundle:
        query = bundle.query_encoder(1).encode(["yeast turns sugar into gas"])
        _, rows = bundle.vectors.search(query, 3)
        assert all(p.id.startswith("en-food") for p in bundle.passages.get(rows[0]))


def test_passages_are_shared_and_the_old_bundle_stays_as_it_was(
    old: Path, write_student: WriteStudent, state: State
) -> None:
    before = state(old)
    out, manifest = swap_encoder(old, write_student())
    assert state(old) == before
    assert sorted(f.name for f in old.parent.iterdir()) == sorted([old.name, out.name])
    for file in (PASSAGES, VECTORS, CODER, *TOKENS):
        assert hash_file(out / file) == read_manifest(old).files[file] == manifest.files[file]
        assert (out / file).samefile(old / file)
    for name in ("encoder.onnx", "vocabulary.bin", "tokenizer.json"):
        assert (out / "encoder" / name).samefile(old / "encoder" / name)


def test_on_another_file_system_they_are_copied(
    old: Path, write_student: WriteStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    out, manifest = swap_encoder(old, write_student())
    assert verify(out) == []
    for file in (PASSAGES, VECTORS, CODER, *TOKENS):
        assert not (out / file).samefile(old / file)
        assert manifest.files[file] == read_manifest(old).files[file]


def test_a_student_takes_anothers_place_and_the_teacher_comes_back(
    old: Path, write_student: WriteStudent
) -> None:
    one, _ = swap_encoder(old, write_student(name="one"))
    two, manifest = swap_encoder(one, write_student(name="two"))
    assert two == old.with_name("small-two.lurcher")
    assert manifest.encoder.student is not None
    assert manifest.encoder.student.name == "two"
    back, manifest = swap_encoder(two, None)
    assert back == old.with_name("small-teacher.lurcher")
    assert verify(back) == []
    assert manifest.encoder == read_manifest(old).encoder
    assert manifest.figures == read_manifest(old).figures
    encoder = {f.name: hash_file(f) for f in (back / "encoder").iterdir()}
    assert encoder == {f.name: hash_file(f) for f in (old / "encoder").iterdir()}


def test_only_what_the_manifest_lists_is_taken_along(
    old: Path, write_student: WriteStudent
) -> None:
    (old / "segments" / "notes.txt").write_text("mine")
    out, _ = swap_encoder(old, write_student())
    assert not (out / "segments" / "notes.txt").exists()


# What is refused, before anything is written.


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"teacher": "sha256:" + "1" * 64}, "student: twin was aligned to the encoder sha256:111"),
        ({"dimension": 128}, "student: twin has 128 dimensions, and the encoder .* has 96"),
    ],
)
def test_a_student_of_another_is_refused(
    old: Path, write_student: WriteStudent, changes: dict[str, Any], named: str, state: State
) -> None:
    before = state(old)
    with pytest.raises(FieldError, match=named):
        swap_encoder(old, write_student(**changes), old.parent / "new" / "out.lurcher")
    assert state(old) == before
    assert list(old.parent.iterdir()) == [old]


def test_what_is_there_already_is_left_alone(
    old: Path, write_student: WriteStudent, state: State
) -> None:
    before = state(old)
    with pytest.raises(FieldError, match=r"out: .*small\.lurcher exists"):
        swap_encoder(old, write_student(), old)
    assert state(old) == before


def test_no_student_no_bundle(old: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="not a student: no such folder"):
        swap_encoder(old, tmp_path / "none")
    with pytest.raises(BundleError, match="no such folder"):
        swap_encoder(tmp_path / "none", None)
    assert list(old.parent.iterdir()) == [old]


def test_a_damaged_bundle_is_not_built_upon(old: Path, write_student: WriteStudent) -> None:
    with (old / PASSAGES).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=PASSAGES):
        swap_encoder(old, write_student())
    assert list(old.parent.iterdir()) == [old]


def test_a_graph_that_does_not_load_leaves_nothing(old: Path, write_student: WriteStudent) -> None:
    student = write_student()
    (student / "query.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"query\.onnx: no ONNX graph that can be read"):
        swap_encoder(old, student)
    assert list(old.parent.iterdir()) == [old]
    assert verify(old) == []


# The search effort.

COUNT, QUERIES = 3_000, 60


class Rough:
    """Stands for an encoder: queries lie near passages, a student's less near than the teacher's."""

    vocabulary = 1_580  # as the tiny encoder has

    def __init__(self, vectors: Vectors, noise: float) -> None:
        self._vectors, self._noise = vectors, noise

    def encode(self, texts: list[str]) -> Vectors:
        rows = np.random.default_rng(5).choice(COUNT, len(texts), replace=False)
        noise = np.random.default_rng(6).standard_normal((len(texts), 96))
        found: Vectors = (self._vectors[rows] + self._noise * noise).astype(np.float32)
        return found


@pytest.fixture
def vectors() -> Vectors:
    """Passages that fill 24 of the 96 dimensions, as text does not fill all of its own."""
    draw = np.random.default_rng(1)
    found = draw.standard_normal((COUNT, 24)) @ draw.standard_normal((24, 96)) / 24
    return found.astype(np.float32)


@pytest.fixture
def tuned(
    old: Path, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[bool, Rough]]:
    """A bundle with a graph index of made-up vectors, its effort 40; its encoders, student or not."""
    index = build_index(vectors, "HNSW8_SQ8", 0, lambda _: None)
    write_index(index, old / VECTORS)
    manifest = read_manifest(old)
    write_manifest(
        old,
        manifest.model_copy(
            update={
                "figures": manifest.figures.model_copy(
                    update={"search_effort": 40, "recall_at_100": 0.9}
                ),
                "files": list_files(old),
            }
        ),
    )
    encoders = {False: Rough(vectors, 0.02), True: Rough(vectors, 0.3)}

    def load(folder: Path, *_: Any) -> Rough:
        return encoders[(folder / "query.onnx").exists()]

    # The passages' number does not match, which only an opened bundle of the real kind would mind.
    monkeypatch.setattr("lurcher.bundle.bundle.check_files", lambda *_: None)
    monkeypatch.setattr(Encoder, "load", load)
    return old, encoders


def reached(bundle: Path, encoder: Rough, effort: int) -> float:
    """Recall@100 in plain words, against exact search of what the index has stored."""
    with closing(Bundle.open(bundle)) as opened:
        stored = opened.vectors.stored()[slice(0, COUNT)]
        queries = encoder.encode(["q"] * QUERIES)
        exact = np.argsort(-(queries @ stored.T), axis=1)[:, :100]
        opened.vectors.set_effort(effort)
        return recall(opened.vectors.search(queries, 100)[1], exact)


def test_a_rougher_student_searches_harder_and_finds_as_much(
    tuned: tuple[Path, dict[bool, Rough]], write_student: WriteStudent
) -> None:
    old, encoders = tuned
    out, manifest = swap_encoder(old, write_student())
    assert manifest.swap is not None
    assert manifest.swap.built_effort == 40
    assert manifest.swap.built_recall == pytest.approx(reached(old, encoders[False], 40), abs=1e-3)
    assert 0.5 < manifest.swap.built_recall < 1
    effort = manifest.figures.search_effort
    assert effort is not None
    assert effort > 40
    assert manifest.swap.recall >= manifest.swap.built_recall
    assert manifest.swap.recall == pytest.approx(reached(out, encoders[True], effort), abs=1e-3)
    less = effort - max(1, effort // 8) - 1
    assert reached(out, encoders[True], less) < manifest.swap.built_recall
    assert manifest.figures.recall_at_100 == 0.9  # what the build measured stays


def test_one_swap_after_another_keeps_to_what_the_build_reached(
    tuned: tuple[Path, dict[bool, Rough]], write_student: WriteStudent
) -> None:
    old, _ = tuned
    once, first = swap_encoder(old, write_student())
    again, second = swap_encoder(once, write_student(name="again"))
    assert second.swap == first.swap
    assert second.figures == first.figures
    _, back = swap_encoder(again, None)
    assert back.swap is not None
    assert back.swap.recall >= back.swap.built_recall
    assert (back.figures.search_effort or 0) <= 40 < (first.figures.search_effort or 0)


# What goes wrong half way.

COMMAND = """
import os, resource, signal, sys
from pathlib import Path
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.errors import BundleError

def fail_point(place):
    if place == {place!r}:
        os.kill(os.getpid(), signal.SIGKILL)

{prologue}
try:
    swap_encoder(Path(sys.argv[1]), Path(sys.argv[2]), fail_point=fail_point)
except BundleError as error:
    print(error)
"""


def start(
    old: Path, student: Path, prologue: str = "", place: str = ""
) -> subprocess.CompletedProcess[str]:
    command = COMMAND.format(prologue=prologue, place=place)
    return subprocess.run(
        [sys.executable, "-c", command, str(old), str(student)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip


def test_a_full_disk_is_one_error_and_leaves_nothing(
    old: Path, write_student: WriteStudent, state: State
) -> None:
    before = state(old)
    # A limit on the size of any one file fails a write as a full disk does, and needs no disk.
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))"
    ended = start(old, write_student(), limit)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{old.with_name('small-twin.lurcher')}: cannot be written: ")
    assert ended.stdout.endswith(f"; {old} is as it was\n")
    assert list(old.parent.iterdir()) == [old]
    assert state(old) == before


@pytest.mark.parametrize(
    "place",
    [
        *(
            pytest.param(place, marks=pytest.mark.nightly)
            for place in ("encoder: begun", "search effort: begun", "manifest: begun")
        ),
        "bundle: synced",
    ],
)
def test_killed_half_way_there_is_no_bundle_and_a_rerun_makes_it(
    old: Path, write_student: WriteStudent, place: str, state: State
) -> None:
    student, before = write_student(), state(old)
    assert start(old, student, place=place).returncode == -signal.SIGKILL
    assert [f for f in old.parent.iterdir() if not f.name.startswith(".")] == [old]
    assert state(old) == before
    out, _ = swap_encoder(old, student)
    assert verify(out) == []
    assert state(old) == before


# Builds that begin with a student.


def test_a_build_can_begin_with_a_student(
    small_corpus: Path, small_bundle: Path, tmp_path: Path, write_student: WriteStudent
) -> None:
    out = tmp_path / "out.lurcher"
    student = write_student()
    manifest = build(small_corpus, out, TinyOptions(seed=1, student=student))
    assert verify(out) == []
    assert manifest.encoder.student == load_student(student)
    assert manifest.swap is None
    assert manifest.files[VECTORS] == read_manifest(small_bundle).files[VECTORS]
    # Copies: what is installed may be replaced at any time.
    assert not (out / "encoder" / "encoder.onnx").samefile(TINY / "encoder.onnx")
    assert (out / "encoder" / "query.onnx").stat().st_nlink == 1


def test_a_build_with_anothers_student_fails_at_once(
    small_corpus: Path, tmp_path: Path, write_student: WriteStudent
) -> None:
    out = tmp_path / "out.lurcher"
    student = write_student(teacher="sha256:" + "1" * 64)
    with pytest.raises(FieldError, match="student: twin was aligned"):
        build(small_corpus, out, TinyOptions(student=student))
    assert list(tmp_path.glob("out*")) == []


def test_a_rerun_without_the_student_leaves_none_of_it(
    small_corpus: Path, tmp_path: Path, write_student: WriteStudent
) -> None:
    class PowerCut(Exception):
        pass

    def cut(place: str) -> None:
        if place == "manifest: begun":
            raise PowerCut

    out = tmp_path / "out.lurcher"
    with pytest.raises(PowerCut):
        build(small_corpus, out, TinyOptions(student=write_student()), fail_point=cut)
    build(small_corpus, out)
    assert verify(out) == []
    assert not (out / "encoder" / "query.onnx").exists()
