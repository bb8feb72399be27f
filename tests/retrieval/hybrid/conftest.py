"""Opened bundles in which words count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import gaining


@pytest.fixture(scope="module")
def snapshot(small_bundle: Path) -> Iterator[Snapshot]:
    with closing(Bundle.open(small_bundle)) as bundle:
        yield Snapshot(gaining(bundle), 1)


@pytest.fixture(scope="module")
def known(ticket_bundle: Path) -> Iterator[Snapshot]:
    """The same, with known queries."""
    with closing(Bundle.open(ticket_bundle)) as bundle:
        yield Snapshot(gaining(bundle), 1)


@pytest.fixture(scope="module")
def wordless(build_once: Callable[..., Path]) -> Iterator[Snapshot]:
    """The same corpus without a lexical index."""
    with closing(Bundle.open(build_once("wordless", seed=1, lexical=None))) as bundle:
        yield Snapshot(bundle, 1)
