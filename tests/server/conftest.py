"""One healthy server for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.index_builder.build import BuildOptions, build
from lurcher.index_builder.options import TokenOptions
from tests.server.odd import ODD, prompted_encoder
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
def plain_odd_bundle(
    write_jsonl: Callable[[Path, Any], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of ``ODD``, in which each token has a code of its own; only to be read."""
    folder = tmp_path_factory.mktemp("odd")
    out = folder / "odd.lurcher"
    build(
        write_jsonl(folder / "odd.jsonl", ODD),
        out,
        BuildOptions(tokens=TokenOptions(keep_ratio=1.0)),
    )
    return out


@pytest.fixture(scope="session")
def prompted_odd_bundle(
    write_jsonl: Callable[[Path, Any], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of ``ODD`` of an encoder whose sides have prompts of their own; only to be read."""
    folder = tmp_path_factory.mktemp("prompted")
    out = folder / "odd.lurcher"
    encoder = prompted_encoder(folder / "encoder")
    build(write_jsonl(folder / "odd.jsonl", ODD), out, BuildOptions(encoder=encoder))
    return out


@pytest.fixture(scope="session")
def answering_bundle(
    write_jsonl: Callable[[Path, Any], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle of ``ODD`` that has a reader; only to be read."""
    folder = tmp_path_factory.mktemp("answering")
    out = folder / "answering.lurcher"
    build(write_jsonl(folder / "odd.jsonl", ODD), out, BuildOptions(answers=True))
    return out
