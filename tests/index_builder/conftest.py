"""What these tests share: where to build, what encodes, an old bundle, and whether it stays as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.manifest import hash_file
from lurcher.models.encoders.encoder import Encoder
from tests.tiny import TINY


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.lurcher"


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The tiny encoder of passages, on one thread."""
    return Encoder.load(TINY, "passage", 1)


@pytest.fixture
def old(small_bundle: Path, tmp_path: Path) -> Path:
    """A bundle in a folder of its own."""
    (tmp_path / "bundles").mkdir()
    return shutil.copytree(small_bundle, tmp_path / "bundles" / "small.lurcher")


@pytest.fixture(scope="session")
def state() -> Callable[[Path], dict[str, Any]]:
    """A function that gives everything by which a bundle could be seen to have changed."""

    def seen(bundle: Path) -> dict[str, Any]:
        files = [f for f in bundle.rglob("*") if f.is_file()]
        return {str(f): (hash_file(f), f.stat().st_ino, f.stat().st_mtime_ns) for f in files}

    return seen
