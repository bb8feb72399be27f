"""What an interrupted build with tokens goes on with, and a rerun that asks for something else."""

from __future__ import annotations

import os
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.token_store import CODER, token_files
from lurcher.bundle.verifying import verify
from lurcher.index_builder.options import TokenOptions
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE, VECTORS_FILE
from tests.index_builder.killing import build_in_pieces, interrupt
from tests.index_builder.test_resume import Recorder, interrupted
from tests.index_builder.tokens.stores import content
from tests.tiny import TinyOptions


def test_more_passages_than_a_chunk_are_coded_in_row_order(
    small_corpus: Path, small_bundle: Path, out: Path
) -> None:
    build_in_pieces(small_corpus, out, TinyOptions(seed=1))
    with closing(Bundle.open(out)) as one, closing(Bundle.open(small_bundle)) as other:
        assert one.tokens is not None
        assert other.tokens is not None
        for row in range(60):  # in other batches states round a little otherwise
            found, wanted = (
                len(store.gather_positions(np.array([row]))) for store in (one.tokens, other.tokens)
            )
            assert found == wanted
        (some, _), (same, _) = one.tokens.gather(np.arange(60)), other.tokens.gather(np.arange(60))
        assert (np.unpackbits(some) == np.unpackbits(same)).mean() > 0.98


@pytest.mark.nightly
# The fail point, how often it is passed, and how many passages are encoded then.
@pytest.mark.parametrize(
    ("place", "times", "encoded"),
    [
        ("token coder: begun", 1, 0),
        ("vectors: begun", 1, 0),
        ("vectors.f32: passages appended", 2, 16),
        ("vectors: written", 1, 60),
    ],
)
def test_an_interrupted_build_ends_in_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, place: str, times: int, encoded: int
) -> None:
    interrupt(small_corpus, out, place, times)
    recorder = Recorder()
    build_in_pieces(small_corpus, out, report=recorder)
    assert content(out) == content(undisturbed)
    assert read_manifest(out).tokens == read_manifest(undisturbed).tokens
    assert ("calibrating" in recorder.stages) == (place == "token coder: begun")
    assert recorder.resumed["encoding"] == encoded


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
def test_files_cut_anywhere_are_gone_on_with_to_the_same_bytes(
    small_corpus: Path, undisturbed: Path, out: Path, seed: int
) -> None:
    interrupted(small_corpus, out, "encoding", 49)
    partial, draw = out.with_name(f"{out.name}.partial"), random.Random(seed)
    files = token_files(partial / "bundle", SEGMENT)
    files += [partial / "scratch" / name for name in (VECTORS_FILE, FLAGS_FILE)]
    for file in draw.sample(files, draw.randint(1, len(files))):
        os.truncate(file, draw.randint(0, file.stat().st_size))
    recorder = Recorder()
    build_in_pieces(small_corpus, out, report=recorder)
    assert recorder.resumed["encoding"] % 16 == 0  # the same batches
    assert content(out) == content(undisturbed)


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_other_tokens_are_encoded_again_but_not_read_again(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    options = TinyOptions(tokens=TokenOptions(bits=32, keep_ratio=0.5))
    stated = build_in_pieces(small_corpus, out, options, recorder).tokens
    assert set(recorder.stages) == {"calibrating", "encoding", "indexing", "tuning", "measuring"}
    assert recorder.stages["encoding"] == 60
    assert stated is not None
    assert (stated.bits, stated.keep_ratio) == (32, 0.5)
    assert verify(out) == []


@pytest.mark.parametrize("at", [("encoding", 32), ("tuning", 0)])
def test_a_rerun_without_tokens_leaves_none(
    small_corpus: Path, out: Path, at: tuple[str, int]
) -> None:
    interrupted(small_corpus, out, *at)
    recorder = Recorder()
    manifest = build_in_pieces(small_corpus, out, TinyOptions(tokens=None), recorder)
    assert set(recorder.stages) == {"encoding", "indexing", "tuning", "measuring"}
    assert manifest.tokens is None
    assert not [file for file in manifest.files if "token" in file and "encoder/" not in file]
    assert not (out / CODER).parent.exists()
    assert verify(out) == []


def test_a_rerun_with_tokens_codes_what_was_encoded_without(
    small_corpus: Path, undisturbed: Path, out: Path
) -> None:
    interrupted(small_corpus, out, "tuning", 0, TinyOptions(tokens=None))
    build_in_pieces(small_corpus, out)
    assert content(out) == content(undisturbed)


def test_another_seed_matters_to_the_encoding_only_where_there_are_tokens(
    small_corpus: Path, tmp_path: Path
) -> None:
    for tokens, stages in (
        (None, {"indexing", "tuning", "measuring"}),
        (TokenOptions(), {"calibrating", "encoding", "indexing", "tuning", "measuring"}),
    ):
        out, options = tmp_path / f"{len(stages)}.lurcher", TinyOptions(tokens=tokens)
        interrupted(small_corpus, out, "tuning", 0, options)
        recorder = Recorder()
        build_in_pieces(small_corpus, out, replace(options, seed=2), recorder)
        assert set(recorder.stages) == stages
