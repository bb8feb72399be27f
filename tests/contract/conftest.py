"""A server of its own for the tests of the contract: they ask much, and wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import Client, running, settings


@pytest.fixture(scope="session")
def served(answering_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A ready server that answers, too, with limits that random requests can reach."""
    limits = {"max_body_bytes": 50_000, "max_query_chars": 500, "max_queries": 8, "max_top_k": 100}
    limits["follow_ms"] = 0  # a write that nobody makes would be waited for
    log = tmp_path_factory.mktemp("served") / "feedback.log"
    with running(settings(answering_bundle, feedback=log, **limits)) as client:
        yield client
