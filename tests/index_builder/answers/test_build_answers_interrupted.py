"""What an interrupted build with answers goes on with, and a rerun that asks for something else."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.bundle.bundle import READER, SEGMENT
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.reading_store import READING_CODER, reading_files
from lurcher.bundle.token_store import token_files
from lurcher.bundle.verifying import verify
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE
from lurcher.models.reader.reader import READER_GRAPH
from tests.index_builder.answers.answering import ANSWERS, OWN, another_reader, content
from tests.index_builder.killing import build_in_pieces, interrupt, run
from tests.index_builder.test_resume import Recorder, interrupted


# The fail point, how often it is passed, and how many passages are encoded then.
@pytest.mark.parametrize(
    ("place", "times", "encoded"),
    [
        ("reading coder: begun", 1, 0),
        ("vectors: begun", 1, 0),
        ("vectors.f32: passages appended", 2, 16),
        ("vectors: written", 1, 60),
    ],
)
def test_an_interrupted_build_ends_in_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, place: str, times: int, encoded: int
) -> None:
    interrupt(small_corpus, out, place, times, options=ANSWERS)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert content(out) == content(undisturbed)
    assert read_manifest(out).reading == read_manifest(undisturbed).reading
    assert recorder.resumed["encoding"] == encoded


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_files_cut_anywhere_are_gone_on_with_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, seed: int
) -> None:
    interrupted(small_corpus, out, "encoding", 49, ANSWERS)
    partial, draw = out.with_name(f"{out.name}.partial"), random.Random(seed)
    files = reading_files(partial / "bundle", SEGMENT)
    others = [*token_files(partial / "bundle", SEGMENT), partial / "scratch" / FLAGS_FILE]
    for file in [draw.choice(files), *draw.sample(others, draw.randint(0, len(others)))]:
        os.truncate(file, draw.randint(0, file.stat().st_size))
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert recorder.resumed["encoding"] % 16 == 0  # the same batches
    assert content(out) == content(undisturbed)


# Moments that chance seldom meets: the fail point, how often it is passed, and the file half written then.
PLACES: dict[str, tuple[str, int, str]] = {
    "coder half written": ("reading coder: begun", 1, READING_CODER),
    "coder written, and not noted": ("reading coder: written", 1, ""),
    "codes written, how many they are not": ("reading.idx: entries written", 2, ""),
    "tokens written, their codes for the reader not": ("tokens.idx: passages appended", 2, ""),
    "codes written, the vectors not": ("reading.idx: passages appended", 2, ""),
    "reader half copied": ("reader: begun", 1, f"{READER}/{READER_GRAPH}"),
}


@pytest.mark.nightly
@pytest.mark.parametrize("name", PLACES)
def test_interrupted_between_two_steps_a_build_goes_on_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, name: str
) -> None:
    interrupt(small_corpus, out, *PLACES[name], options=ANSWERS)
    assert not out.exists()
    build_in_pieces(small_corpus, out, ANSWERS)
    assert verify(out) == []
    assert content(out) == content(undisturbed)


@pytest.mark.nightly
@pytest.mark.parametrize("name", PLACES)
def test_killed_between_two_steps_a_build_goes_on_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, name: str
) -> None:
    status, error = run(small_corpus, out, *PLACES[name], options="TinyOptions(answers=True)")
    assert status == -signal.SIGKILL, error
    assert not out.exists()
    build_in_pieces(small_corpus, out, ANSWERS)
    assert verify(out) == []
    assert content(out) == content(undisturbed)


# Reruns that ask for something else.


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_without_answers_leaves_nothing_of_them(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at, ANSWERS)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, None, recorder)
    assert recorder.stages["encoding"] == 60
    assert (manifest.reading, manifest.reader) == (None, None)
    assert not any((out / file).exists() for file in OWN)
    assert not (out / READING_CODER).parent.exists()
    assert verify(out) == []


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_with_answers_codes_what_was_encoded_without(
    small_corpus: Path, undisturbed: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, ANSWERS, recorder)
    assert "reading" not in recorder.stages  # of the corpus
    assert content(out) == content(undisturbed)


def test_another_reader_of_as_many_bits_needs_no_encoding(
    small_corpus: Path, out: Path, tmp_path: Path
) -> None:
    interrupted(small_corpus, out, "tuning", 0, ANSWERS)
    recorder = Recorder()
    mine = another_reader(tmp_path / "mine", name="mine")
    manifest = build_in_pieces(small_corpus, out, replace(ANSWERS, reader=mine), recorder)
    assert set(recorder.stages) == {"tuning", "measuring"}
    assert manifest.reader is not None
    assert manifest.reader.name == "mine"
    assert verify(out) == []


def test_other_bits_are_coded_anew(small_corpus: Path, out: Path) -> None:
    interrupted(small_corpus, out, "tuning", 0, ANSWERS)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, replace(ANSWERS, answer_bits=64), recorder)
    assert set(recorder.stages) == {"calibrating", "encoding", "indexing", "tuning", "measuring"}
    assert recorder.stages["encoding"] == 60
    assert manifest.reading is not None
    assert manifest.reading.bits == 64
    assert verify(out) == []
