"""Two small bundles of different texts under one roof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import Client, running, settings
from tests.shared import Shared


@pytest.fixture(scope="session")
def folder(small_bundle: Path, plain_odd_bundle: Path, shared: Shared) -> Path:
    """A folder with `docs.lurcher`, which is the small bundle, and `tickets.lurcher`; only to be read."""

    def link(made: Path) -> None:
        (made / "docs.lurcher").symlink_to(small_bundle)
        (made / "tickets.lurcher").symlink_to(plain_odd_bundle)

    return shared.once("collections", link)


@pytest.fixture(scope="session")
def several(folder: Path) -> Iterator[Client]:
    """A ready server of both, of which `docs` is the default."""
    with running(settings(folder / "docs.lurcher", collections=folder)) as client:
        yield client
