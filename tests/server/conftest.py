"""One healthy server for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import Client, running, settings


@pytest.fixture(scope="session")
def live(small_bundle: Path) -> Iterator[Client]:
    """A ready server of ``small_bundle`` with small limits."""
    limits = {
        "max_body_bytes": 200_000,
        "max_query_chars": 2_000,
        "max_queries": 20,
        "max_hits": 1_000,
        "max_top_k": 200,
    }
    with running(settings(small_bundle, **limits)) as client:
        yield client
