"""A build with a T5 that is killed, and the next that finishes it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")


from lurcher.bundle.bundle import RANKER
from lurcher.bundle.state_codecs import SIGNS
from lurcher.bundle.verifying import verify
from lurcher.index_builder.build import BuildOptions, build
from tests.index_builder.killing import CHUNK_SIZE, build_in_pieces, run
from tests.index_builder.test_resume import Recorder
from tests.tiny import TinyOptions
from tests.training.t5_bundle.words import COUNTS, STATES

# A build that is killed.

# The fail point, how often it is passed before the kill, and the file that is half written then.
PLACES: dict[str, tuple[str, int, str]] = {
    "signs half written": ("state codec: begun", 1, SIGNS),
    "signs written, and not noted": ("state codec: written", 1, ""),
    "some passages written": ("states.idx: passages appended", 1, STATES),
    "states written, and not noted": ("states: written", 1, ""),
}


def expression(ranker: Path) -> str:
    """The options of these builds, for another process."""
    return f"TinyOptions(tokens=None, ranker=Path({str(ranker)!r}), states='1-bit')"


def t5_options(ranker: Path) -> BuildOptions:
    return TinyOptions(tokens=None, ranker=ranker, states="1-bit")


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, ranker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out.lurcher"
    build_in_pieces(corpus, out, t5_options(ranker))
    return out


@pytest.mark.parametrize("name", PLACES)
def test_a_killed_build_is_finished_by_the_next(
    corpus: Path, ranker: Path, undisturbed: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.lurcher"
    status, error = run(corpus, out, *PLACES[name], options=expression(ranker))
    assert status == -signal.SIGKILL, error
    assert not out.exists()
    recorder = Recorder()
    build_in_pieces(corpus, out, t5_options(ranker), recorder)
    if name == "some passages written":  # what is there is not made again
        assert recorder.resumed["states"] == CHUNK_SIZE
    assert verify(out) == []
    for file in (STATES, COUNTS, SIGNS):
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes(), name


def test_a_rerun_without_a_ranker_leaves_no_states(
    corpus: Path, ranker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.lurcher"
    place = PLACES["states written, and not noted"]
    status, error = run(corpus, out, *place, options=expression(ranker))
    assert status == -signal.SIGKILL, error
    build(corpus, out, TinyOptions(tokens=None))
    assert verify(out) == []
    for name in (STATES, COUNTS, SIGNS, RANKER):
        assert not (out / name).exists()
