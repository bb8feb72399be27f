"""A bundle with known queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged
from tests.index_builder.adapt.known import OPTIONS, known_queries
from tests.shared import Shared


@pytest.fixture(scope="session")
def known_bundle(small_bundle: Path, shared: Shared) -> Path:
    """A bundle with ``known_queries``; only to be read."""
    judged, name = Judged(known_queries()), "known.lurcher"
    return (
        shared.once("known", lambda made: adapt(small_bundle, judged, OPTIONS, made / name)) / name
    )
