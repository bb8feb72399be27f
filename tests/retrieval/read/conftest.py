"""The bundle that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from tests.retrieval.read.asking import Ask


@pytest.fixture(scope="module")
def opened(answering_bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield bundle


@pytest.fixture(scope="module")
def ask(opened: Bundle) -> Ask:
    return Ask(opened)
