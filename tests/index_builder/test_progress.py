"""Progress moves with every batch, and is told where there is no terminal."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from lurcher.index_builder.progress import Lines, progress_lines
from tests.tiny import TinyOptions, build


class Steps:
    """Notes the steps of each stage."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {}
        self._now = ""

    def stage(self, name: str, *_: int | None) -> None:
        self._now = name

    def advance(self, steps: int) -> None:
        self.steps.setdefault(self._now, []).append(steps)


@pytest.mark.parametrize("tokens", [True, False])
def test_encoding_moves_with_every_batch(small_corpus: Path, tmp_path: Path, tokens: bool) -> None:
    options = TinyOptions() if tokens else TinyOptions(tokens=None)
    noted = Steps()
    build(small_corpus, tmp_path / "b.lurcher", options, noted)  # one chunk holds all of it
    assert sum(noted.steps["encoding"]) == 60
    assert len(noted.steps["encoding"]) > 1


def test_line_says_how_far_how_fast_and_how_long() -> None:
    now = 100.0
    lines = Lines(lambda: now)
    lines.stage("encoding", 10_000, 1_000)
    now = 120.0
    assert lines.line() == "encoding: 1,000 of 10,000 (10%), for 20 s"
    lines.advance(2_000)
    assert lines.line() == "encoding: 3,000 of 10,000 (30%), 100/s, 70 s left"
    lines.stage("tuning", None)
    now = 155.0
    assert lines.line() == "tuning: 0, for 35 s"
    lines.advance(7)
    assert lines.line() == "tuning: 7, 0/s"
    lines.stage("nothing", 0)
    assert lines.line() == "nothing: 0, for 0 s"


def test_lines_come_without_being_asked_until_the_end() -> None:
    said: list[str] = []
    twice = Event()

    def say(line: str) -> None:
        said.append(line)
        if sum(one.startswith("choosing: ") for one in said) == 2:
            twice.set()

    with progress_lines(say, every=0.001) as lines:
        lines.stage("choosing", None)
        assert twice.wait(30)
    told = len(said)
    assert not twice.wait(0.01) or len(said) == told
    assert said[-1].startswith("choosing: ")


def test_short_build_says_nothing() -> None:
    said: list[str] = []
    with progress_lines(said.append) as lines:
        lines.stage("encoding", 1)
    assert said == []
