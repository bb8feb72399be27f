"""A bundle with judgements far from what they are about, one without any, and queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from tests.retrieval.retrieve.first_stage import judged, lively
from tests.retrieval.retrieve.reference import unit
from tests.shared import Shared


@pytest.fixture(scope="session")
def adapted(small_bundle: Path, small_records: list[dict[str, Any]], shared: Shared) -> Path:
    """``small_bundle`` with the queries of ``judged``; only to be read."""
    known, options, name = Judged(judged(small_records)), NeighbourOptions(), "judged.lurcher"
    return (
        shared.once("judged", lambda made: adapt(small_bundle, known, options, made / name)) / name
    )


@pytest.fixture
def bundle(adapted: Path) -> Iterator[Bundle]:
    opened = Bundle.open(adapted)
    yield lively(opened)
    opened.close()


@pytest.fixture
def plain(small_bundle: Path) -> Iterator[Bundle]:
    opened = Bundle.open(small_bundle)
    yield opened
    opened.close()


@pytest.fixture
def asked(adapted: Path) -> Vectors:
    """Vectors (8, d) of queries: near known ones, near passages, and between."""
    bundle = Bundle.open(adapted)
    assert bundle.neighbours is not None
    some = np.array([0, 5, 11, 17])
    known, passages = bundle.neighbours.queries.vectors(some), bundle.vectors.vectors(some)
    bundle.close()
    noise = 0.02 * np.random.default_rng(3).standard_normal((8, known.shape[1]))
    return unit(np.concatenate([known, passages[:2], known[:2] + passages[2:]]) + noise)
