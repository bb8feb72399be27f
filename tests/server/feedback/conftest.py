"""A server that takes feedback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.feedback.giving import Recorder
from tests.server.serving import Client, running, settings


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "feedback.log"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(small_bundle: Path, log: Path, recorder: Recorder) -> Iterator[Client]:
    """A server that takes feedback, with small limits."""
    limits: dict[str, Any] = {"max_queries": 6, "max_query_chars": 100, "feedback_pairs": 8}
    with running(settings(small_bundle, feedback=log, **limits), recorder.snapshot) as client:
        yield client
