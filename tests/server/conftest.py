"""One healthy server for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.index_builder.options import TokenOptions
from tests.server.odd import ODD, prompted_encoder
from tests.server.serving import Client, running, settings
from tests.shared import Shared
from tests.unsplit import unsplit


@pytest.fixture(scope="session")
def live(small_bundle: Path) -> Iterator[Client]:
    """A ready server of ``small_bundle`` with small limits."""
    limits = {
        "max_body_bytes": 200_000,
        "max_query_chars": 2_000,
        "max_queries": 20,
        "max_hits": 1_000,
        "max_top_k": 200,
        "max_candidates": 300,
        "max_ranked": 2_500,
    }
    with running(settings(small_bundle, **limits)) as client:
        yield client


@pytest.fixture(scope="session")
def tokenless(tokenless_bundle: Path) -> Iterator[Client]:
    """A ready server of ``tokenless_bundle``."""
    with running(settings(tokenless_bundle)) as client:
        yield client


@pytest.fixture(scope="session")
def odd_corpus(write_jsonl: Callable[[Path, Any], Path], shared: Shared) -> Path:
    """``ODD`` as a JSONL file."""
    return (
        shared.once("odd-corpus", lambda made: write_jsonl(made / "odd.jsonl", ODD)) / "odd.jsonl"
    )


@pytest.fixture(scope="session")
def plain_odd_bundle(build_once: Callable[..., Path], odd_corpus: Path) -> Path:
    """The bundle of ``ODD``, in which each token has a code of its own; only to be read."""
    return build_once("odd", odd_corpus, tokens=TokenOptions(keep_ratio=1.0))


@pytest.fixture(scope="session")
def prompted_odd_bundle(build_once: Callable[..., Path], odd_corpus: Path, shared: Shared) -> Path:
    """The bundle of ``ODD`` of an encoder whose sides have prompts of their own; only to be read."""
    encoder = shared.once("prompted-encoder", prompted_encoder)
    return build_once("odd-prompted", odd_corpus, encoder=encoder)


@pytest.fixture(scope="session")
def answering_bundle(build_once: Callable[..., Path], odd_corpus: Path) -> Path:
    """The bundle of ``ODD`` that has a reader; only to be read.

    Its long passage is longer than the encoder reads, as old bundles have some.
    """
    with unsplit():
        return build_once("odd-answering", odd_corpus, answers=True)
