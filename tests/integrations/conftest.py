"""One bundle, open in this process and served, for all frameworks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import lurcher
from tests.server.serving import running, settings

# Before any of them is imported: none should report that tests run.
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "false")


@pytest.fixture(scope="session")
def here(small_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(small_bundle, threads=1) as collection:
        yield collection


@pytest.fixture(scope="session")
def url(small_bundle: Path) -> Iterator[str]:
    with running(settings(small_bundle)) as served:
        yield served.url


@pytest.fixture
def client(url: str) -> Iterator[lurcher.Client]:
    with lurcher.Client(url) as client:
        yield client
