"""A build that nobody disturbed, a corpus that cannot be built, an encoder that has no reader."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lurcher.bundle.bundle import READER
from tests.index_builder.answers.answering import ANSWERS
from tests.index_builder.killing import build_in_pieces
from tests.shared import Shared
from tests.tiny import TINY


@pytest.fixture(scope="session")
def undisturbed(small_corpus: Path, shared: Shared) -> Path:
    """The bundle of a build in small pieces that nobody disturbed; only to be read."""
    name = "undisturbed.lurcher"
    return (
        shared.once(
            "undisturbed-answers", lambda made: build_in_pieces(small_corpus, made / name, ANSWERS)
        )
        / name
    )


@pytest.fixture
def bad_corpus(tmp_path: Path) -> Path:
    """One that would be an error of its own."""
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"id": "a"}\n')
    return corpus


@pytest.fixture
def readerless(tmp_path: Path) -> Path:
    """The tiny encoder, but for its reader."""
    folder = tmp_path / "encoder"
    return Path(shutil.copytree(TINY, folder, ignore=lambda *_: [READER, "students"]))
