"""A build that is killed, at any moment, leaves no bundle that is wrong; the next run finishes it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import SEGMENT, VECTORS, Bundle, verify
from lurcher.bundle.token_store import CODER
from lurcher.index_builder import build as build_module
from lurcher.index_builder import encode
from lurcher.index_builder.build import build

COUNT = 300
WORDS = ["glacier", "oboe", "yeast", "train", "cat", "window", "valley", "concert", "stone"]

# The real command, in small pieces, so that a kill falls between many of them. PROLOGUE may
# change what the command does at one named place.
COMMAND = """
import os, signal, sys
from lurcher.index_builder import build, encode, workspace
build._BATCH = encode._CHUNK = 16
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{prologue}
import lurcher.cli
sys.argv = ["lurcher", "build", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK", 16)
    monkeypatch.setattr(build_module, "_BATCH", 16)


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


def start(corpus: Path, out: Path, prologue: str = "") -> subprocess.Popen[bytes]:
    code = COMMAND.format(prologue=prologue)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(corpus), str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The bundle of a build that nobody disturbed, and the seconds it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    before = time.monotonic()
    assert start(corpus, out).wait() == 0
    return out, time.monotonic() - before


def assert_same(out: Path, undisturbed: Path) -> None:
    assert verify(out) == []
    for file in [VECTORS, CODER, *(f"{SEGMENT}/tokens.{part}" for part in ("bin", "pos", "idx"))]:
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes(), file
    with closing(Bundle.open(out)) as one, closing(Bundle.open(undisturbed)) as other:
        assert one.passages.count == COUNT
        assert one.passages.get(range(COUNT)) == other.passages.get(range(COUNT))
        assert one.manifest.figures == other.manifest.figures
        assert one.manifest.tokens == other.manifest.tokens
    assert not out.with_name(f"{out.name}.partial").exists()


@pytest.mark.parametrize("moment", range(10))
def test_killed_at_any_moment_a_build_is_not_there_or_sound_and_a_rerun_finishes_it(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path, moment: int
) -> None:
    sound, duration = undisturbed
    out = tmp_path / "out.lurcher"
    # One kill in each tenth of a build, at random within it.
    process = start(corpus, out)
    try:
        process.wait((moment + random.Random(moment).random()) * duration / 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if out.exists():
        assert verify(out) == []
        shutil.rmtree(out.with_name(f"{out.name}.partial"), ignore_errors=True)
    else:
        build(corpus, out)
    assert_same(out, sound)


# The moments that chance seldom meets: between two steps that belong together.
PLACES = {
    "passages finished, and not noted as done": "workspace.Workspace.done = kill",
    "coder half written": """
build.TokenCoder.save = lambda self, file: (file.write_bytes(b"PK half"), kill())
""",
    "coder written, and not noted": """
done = workspace.Workspace.done
workspace.Workspace.done = lambda self, stage: kill() if stage == "tokens" else done(self, stage)
""",
    "codes written, how many they are not": """
from lurcher.bundle import jagged, token_store
append = token_store.TokenWriter.append_coded
def some(self, coded):
    if self.passages:
        jagged.np.array = kill
    append(self, coded)
token_store.TokenWriter.append_coded = some
""",
    "tokens written, their vectors not": """
from lurcher.bundle.token_store import TokenWriter
append = TokenWriter.append_coded
TokenWriter.append_coded = lambda self, coded: (append(self, coded), self.passages > 40 and kill())
""",
    "vectors done, and not noted": """
done = workspace.Workspace.done
workspace.Workspace.done = lambda self, stage: kill() if stage == "vectors" else done(self, stage)
""",
    "vectors written, their flags not": "encode.flags_file = kill",
    "index half written": """
build.write_index = lambda index, path: (path.write_bytes(b"IxFI half"), kill())
""",
    "encoder half copied": "build.shutil.copyfile = kill",
    "manifest half written": """
build.write_manifest = lambda root, _: ((root / "manifest.json").write_text('{"form'), kill())
""",
    "everything written, not renamed": "workspace._sync = kill",
}


@pytest.mark.parametrize("place", PLACES)
def test_killed_between_two_steps_a_build_goes_on(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path, place: str
) -> None:
    out = tmp_path / "out.lurcher"
    assert start(corpus, out, PLACES[place]).wait() == -signal.SIGKILL
    assert not out.exists()
    build(corpus, out)
    assert_same(out, undisturbed[0])


def test_killed_again_and_again_a_build_still_ends(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    """Each run is killed after one more chunk of vectors than was there: it cannot start over."""
    out = tmp_path / "out.lurcher"
    prologue = """
run = encode.Coding.encode
calls = []
def counted(self, encoder, tokens):
    calls.append(len(tokens))
    return kill() if len(calls) > 6 else run(self, encoder, tokens)
encode.Coding.encode = counted
"""
    runs = 0
    scratch = out.with_name(f"{out.name}.partial") / "scratch"
    while runs < 3:
        assert start(corpus, out, prologue).wait() == -signal.SIGKILL
        runs += 1
        assert encode.flags_file(scratch).stat().st_size == 6 * 16 * runs
    build(corpus, out)
    assert_same(out, undisturbed[0])


def test_two_commands_cannot_build_the_same_output(
    corpus: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    # The first holds its workspace open until its input ends.
    holding = """
workspace.Workspace.done = lambda *_: (print("held", flush=True), sys.stdin.read())
"""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(prologue=holding), str(corpus), str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    ) as first:  # fmt: skip
        assert first.stdout
        assert first.stdin
        while line := first.stdout.readline():
            if line.strip().endswith(b"held"):
                break
        second = subprocess.run(
            [sys.executable, "-c", COMMAND.format(prologue=""), str(corpus), str(out)],
            capture_output=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        first.kill()
    assert second.returncode == 1
    assert b"another process is building" in second.stderr
    assert not out.exists()
    build(corpus, out)
    assert_same(out, undisturbed[0])
