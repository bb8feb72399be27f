"""A build that is killed, at any moment, leaves no bundle that is wrong; the next run finishes it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import ENCODER, SEGMENT, VECTORS, Bundle
from lurcher.bundle.lexical_files import lexical_files
from lurcher.bundle.manifest import MANIFEST
from lurcher.bundle.token_store import CODER
from lurcher.bundle.verifying import verify
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE
from tests.index_builder.killing import CHUNK_SIZE, HOLD, build_in_pieces, interrupt, run, start

COUNT = 160
WORDS = ["glacier", "oboe", "yeast", "train", "cat", "window", "valley", "concert", "stone"]


@pytest.fixture(scope="module")
def corpus(
    write_jsonl: Callable[[Path, Iterable[Any]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    draw = random.Random(3)
    return write_jsonl(
        tmp_path_factory.mktemp("corpus") / "corpus.jsonl",
        (
            {"id": i, "text": " ".join(draw.choices(WORDS, k=60)), "even": i % 2 == 0}
            for i in range(COUNT)
        ),
    )


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The bundle of a build that nobody disturbed, and the seconds it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    before = time.monotonic()
    status, error = run(corpus, out)
    assert status == 0, error
    return out, time.monotonic() - before


def assert_same(out: Path, undisturbed: Path) -> None:
    assert verify(out) == []
    tokens = (f"{SEGMENT}/tokens.{part}" for part in ("bin", "pos", "idx"))
    for file in [VECTORS, CODER, *tokens, *lexical_files(Path(), SEGMENT)]:
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes(), file
    with closing(Bundle.open(out)) as one, closing(Bundle.open(undisturbed)) as other:
        assert one.passages.count == COUNT
        assert one.passages.get(range(COUNT)) == other.passages.get(range(COUNT))
        assert one.manifest.figures == other.manifest.figures
        assert one.manifest.tokens == other.manifest.tokens
    assert not out.with_name(f"{out.name}.partial").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("moment", range(10))
def test_killed_at_any_moment_a_build_is_not_there_or_sound_and_a_rerun_finishes_it(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path, moment: int
) -> None:
    sound, duration = undisturbed
    out = tmp_path / "out.lurcher"
    # One kill in each tenth of a build, at random within it.
    with start(corpus, out) as process:
        try:
            process.wait((moment + random.Random(moment).random()) * duration / 10)
        except subprocess.TimeoutExpired:
            process.kill()
    if out.exists():
        assert verify(out) == []
        shutil.rmtree(out.with_name(f"{out.name}.partial"), ignore_errors=True)
    else:
        build_in_pieces(corpus, out)
    assert_same(out, sound)


# The moments that chance seldom meets: between two steps that belong together. The fail point, how often it
# is passed before the kill, and the file that is half written then.
PLACES: dict[str, tuple[str, int, str]] = {
    "passages finished, and not noted as done": ("passages: written", 1, ""),
    "coder half written": ("token coder: begun", 1, CODER),
    "coder written, and not noted": ("token coder: written", 1, ""),
    "codes written, how many they are not": ("tokens.idx: entries written", 2, ""),
    "tokens written, their vectors not": ("tokens.idx: passages appended", 4, ""),
    "vectors written, their flags not": ("vectors.f32: passages appended", 2, ""),
    "vectors done, and not noted": ("vectors: written", 1, ""),
    "index half written": ("index: begun", 1, VECTORS),
    "encoder half copied": ("encoder: begun", 1, f"{ENCODER}/encoder.onnx"),
    "manifest half written": ("manifest: begun", 1, MANIFEST),
    "everything written, not renamed": ("bundle: synced", 1, ""),
}


# What is tried at night differs little from its neighbours in the list.
AT_NIGHT = {
    "coder written, and not noted", "tokens written, their vectors not", "vectors done, and not noted",
    "encoder half copied",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.nightly) if name in AT_NIGHT else name
        for name in PLACES
    ],
)
def test_interrupted_between_two_steps_a_build_goes_on(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.lurcher"
    interrupt(corpus, out, *PLACES[name])
    assert not out.exists()
    build_in_pieces(corpus, out)
    assert_same(out, undisturbed[0])


@pytest.mark.nightly
@pytest.mark.parametrize("name", PLACES)
def test_killed_between_two_steps_a_build_goes_on(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.lurcher"
    status, error = run(corpus, out, *PLACES[name])
    assert status == -signal.SIGKILL, error
    assert not out.exists()
    build_in_pieces(corpus, out)
    assert_same(out, undisturbed[0])


@pytest.mark.nightly
def test_killed_again_and_again_a_build_still_ends(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    """Each run is killed after three more chunks of vectors than were there: it cannot start over."""
    out = tmp_path / "out.lurcher"
    flags = out.with_name(f"{out.name}.partial") / "scratch" / FLAGS_FILE
    for runs in (1, 2, 3):
        status, error = run(corpus, out, "tokens.idx: entries written", 4)
        assert status == -signal.SIGKILL, error
        assert flags.stat().st_size == 3 * CHUNK_SIZE * runs
    build_in_pieces(corpus, out)
    assert_same(out, undisturbed[0])


def test_two_commands_cannot_build_the_same_output(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    with start(corpus, out, "passages: written", do=HOLD) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        status, error = run(corpus, out)
        first.kill()
    assert status == 1
    assert b"another process is building" in error
    assert not out.exists()
    build_in_pieces(corpus, out)
    assert_same(out, undisturbed[0])
