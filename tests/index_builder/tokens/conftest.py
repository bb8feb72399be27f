"""A build that nobody disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.index_builder.killing import build_in_pieces
from tests.shared import Shared


@pytest.fixture(scope="session")
def undisturbed(small_corpus: Path, shared: Shared) -> Path:
    """The bundle of a build in small pieces that nobody disturbed; only to be read."""
    name = "undisturbed.lurcher"
    return (
        shared.once("undisturbed-tokens", lambda made: build_in_pieces(small_corpus, made / name))
        / name
    )
