"""One server for the clients of other servers, with a key, and the same bundle in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lurcher
from lurcher.collection import Collection
from lurcher.server.keys import key_hash
from tests.server.serving import Client, running, settings

KEY = "a-read-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
TEXTS = ["when does the dough of the bread rise", "A ship enters the harbour."]
MOST = 5  # texts of one request


@pytest.fixture(scope="session")
def spoken(prompted_odd_bundle: Path) -> Iterator[Client]:
    """A ready server of a bundle whose queries and passages have prompts of their own."""
    limits = {"max_inputs": MOST, "max_candidates": 50, "max_body_bytes": 100_000}
    with running(settings(prompted_odd_bundle, read_keys=[key_hash(KEY)], **limits)) as client:
        yield client


@pytest.fixture(scope="session")
def here(prompted_odd_bundle: Path) -> Iterator[Collection]:
    with lurcher.open(prompted_odd_bundle, threads=1) as collection:
        yield collection
