"""A build that was interrupted goes on where it was; one that was asked for something else does not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import VECTORS, Bundle
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.build import BuildOptions, skipped_file
from lurcher.index_builder.stages import STAGES
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE, VECTORS_FILE
from tests.index_builder.killing import Interrupted
from tests.index_builder.killing import build_in_pieces as build
from tests.tiny import TinyOptions

Write = Callable[[Path, Iterable[Any]], Path]


class Recorder:
    """A reporter that keeps what it is told, and ends the build at the step it is asked to."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.stages: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}
        self.resumed: dict[str, int] = {}
        self._stop = stop
        self._now = ""

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        self.stages[name] = 0
        self.totals[name] = total
        self.resumed[name] = done
        self._now = name
        self._check()

    def advance(self, steps: int) -> None:
        self.stages[self._now] += steps
        self._check()

    def _check(self) -> None:
        if self._stop and self._stop[0] == self._now and self.stages[self._now] >= self._stop[1]:
            raise Interrupted


def interrupted(
    corpus: Path, out: Path, stage: str, at: int, options: BuildOptions | None = None
) -> None:
    with pytest.raises(Interrupted):
        build(corpus, out, options, Recorder((stage, at)))
    assert not out.exists()


def test_encoded_passages_are_not_encoded_again(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "encoding", 33)
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert "reading" not in recorder.stages
    assert recorder.resumed["encoding"] == 32
    assert recorder.stages["encoding"] == 60 - 32
    assert recorder.totals["encoding"] == 60


def test_records_are_read_on_from_the_last_transaction(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "reading", 48)
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert recorder.stages["reading"] == 60 - 48
    assert recorder.stages["encoding"] == 60


@pytest.mark.parametrize(
    ("stage", "at"),
    [("reading", 32), ("encoding", 17), ("tuning", 0),
     *(pytest.param(*place, marks=pytest.mark.nightly)
       for place in [("reading", 0), ("encoding", 0), ("encoding", 60), ("indexing", 0),
                     ("indexing", 60), ("tuning", 1)])],
)  # fmt: skip
def test_an_interrupted_build_ends_as_an_undisturbed_one(
    small_corpus: Path, small_bundle: Path, out: Path, stage: str, at: int
) -> None:
    interrupted(small_corpus, out, stage, at)
    build(small_corpus, out)
    assert verify(out) == []
    with closing(Bundle.open(out)) as one, closing(Bundle.open(small_bundle)) as other:
        rows = range(60)
        assert one.passages.get(rows) == other.passages.get(rows)
        query = other.query_encoder(1).encode(["a glacier", "an oboe", "yeast"])
        (scores, found), (wanted, exact) = (
            one.vectors.search(query, 60),
            other.vectors.search(query, 60),
        )
        np.testing.assert_allclose(scores, wanted, atol=1e-3)
        assert (found[:, :3] == exact[:, :3]).all()


def test_half_a_vector_is_written_again(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "encoding", 33)
    scratch = out.with_name(f"{out.name}.partial") / "scratch"
    vectors = scratch / VECTORS_FILE
    whole = vectors.read_bytes()
    with vectors.open("ab") as file:
        file.write(b"\x7f" * 100)  # the kill came while the third chunk was written
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert recorder.resumed["encoding"] == 32
    with closing(Bundle.open(out)) as bundle:
        raw = np.frombuffer(whole, np.float32).reshape(32, 96)
        scores, rows = bundle.vectors.search(raw, 1)
    assert rows[:, 0].tolist() == list(range(32))
    np.testing.assert_allclose(scores, 1, atol=1e-5)


def test_vectors_without_their_flags_are_encoded_again(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "encoding", 33)
    scratch = out.with_name(f"{out.name}.partial") / "scratch"
    os.truncate(scratch / FLAGS_FILE, 16)
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert recorder.resumed["encoding"] == 16
    assert verify(out) == []


def test_another_index_does_not_encode_again(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "tuning", 0)
    recorder = Recorder()
    manifest = build(small_corpus, out, TinyOptions(index="IVF2,Flat"), recorder)
    assert set(recorder.stages) == {"indexing", "tuning", "measuring"}
    assert manifest.build.index == "IVF2,Flat"
    assert verify(out) == []


def test_another_recall_does_not_index_again(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "tuning", 0)
    recorder = Recorder()
    build(small_corpus, out, TinyOptions(recall=0.5), recorder)
    assert set(recorder.stages) == {"tuning", "measuring"}


def test_a_failed_index_leaves_the_vectors_for_another(small_corpus: Path, out: Path) -> None:
    with pytest.raises(FieldError, match="cannot make 'IVF64,SQ8' of 60 vectors"):
        build(small_corpus, out, TinyOptions(index="IVF64,SQ8"))
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert "encoding" not in recorder.stages


@pytest.mark.parametrize("stage", ["reading", "encoding", "tuning"])
def test_a_changed_corpus_starts_afresh(
    tmp_path: Path, out: Path, small_records: list[dict[str, Any]], write_jsonl: Write, stage: str
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", small_records)
    interrupted(corpus, out, stage, 0 if stage == "tuning" else 32)
    write_jsonl(corpus, [r | {"title": "new"} for r in reversed(small_records)])
    stat = corpus.stat()
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    recorder = Recorder()
    build(corpus, out, report=recorder)
    assert (recorder.stages["reading"], recorder.stages["encoding"]) == (60, 60)
    with closing(Bundle.open(out)) as bundle:
        found = bundle.passages.get(range(60))
    assert [p.id for p in found] == [r["id"] for r in reversed(small_records)]
    assert {p.title for p in found} == {"new"}


def test_a_newer_corpus_of_the_same_size_starts_afresh(
    tmp_path: Path, out: Path, small_records: list[dict[str, Any]], write_jsonl: Write
) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", small_records)
    interrupted(corpus, out, "encoding", 32)
    stat = corpus.stat()
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    recorder = Recorder()
    build(corpus, out, report=recorder)
    assert (recorder.stages["reading"], recorder.stages["encoding"]) == (60, 60)


def test_records_set_aside_are_there_once_after_a_resume(
    tmp_path: Path, out: Path, write_jsonl: Write
) -> None:
    records = [{"id": i, "text": "t"} if i % 3 else {"id": i} for i in range(64)]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", records)
    options = TinyOptions(skip_bad_lines=True)
    interrupted(corpus, out, "reading", 32, options)
    with skipped_file(out).open("a") as file:
        file.write('{"line": 33}\n{"half a li')  # written, and killed before the transaction
    manifest = build(corpus, out, options)
    assert manifest.figures.skipped_records == 22
    assert manifest.passages == 42
    lines = [json.loads(line)["line"] for line in skipped_file(out).read_text().splitlines()]
    assert lines == [i + 1 for i in range(0, 64, 3)]


def stop_when_renamed(place: str) -> None:
    """A fail point that ends the build between the bundle's rename and the removal of the rest."""
    if place == "bundle: renamed":
        raise Interrupted


def test_a_bundle_moved_away_after_a_kill_is_built_anew(small_corpus: Path, out: Path) -> None:
    with pytest.raises(Interrupted):
        build(small_corpus, out, fail_point=stop_when_renamed)
    assert verify(out) == []
    out.rename(out.with_name("elsewhere"))
    recorder = Recorder()
    build(small_corpus, out, report=recorder)
    assert recorder.stages["encoding"] == 60
    assert verify(out) == []
    assert (out / VECTORS).is_file()


def test_what_a_kill_left_beside_a_bundle_is_removed_by_the_next_build(
    small_corpus: Path, out: Path
) -> None:
    with pytest.raises(Interrupted):
        build(small_corpus, out, fail_point=stop_when_renamed)
    with pytest.raises(FieldError, match="exists"):
        build(small_corpus, out)
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_stages_depend_on_earlier_ones_and_what_is_redone_on_what_can_be_told_apart() -> None:
    """A stage that runs in every build has no key, so that none with a key can depend on it."""
    seen: dict[str, bool] = {}
    for stage in STAGES:
        assert set(stage.inputs) <= set(seen)
        if stage.depends_on is not None:
            assert all(seen[name] for name in stage.inputs)
        assert stage.name not in seen
        seen[stage.name] = stage.depends_on is not None
    files = [file for stage in STAGES for file in stage.outputs]
    assert len(set(files)) == len(files)
