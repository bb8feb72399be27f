"""Bundles without vectors whose manifest contradicts that; what they give in the place of vectors."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest, write_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt, BundleError

PARTS = ["swap", "tokens", "ranker", "reader", "reading", "neighbours"]


@pytest.fixture
def words(words_bundle: Path, tmp_path: Path) -> Path:
    """A bundle in a folder of its own."""
    return shutil.copytree(words_bundle, tmp_path / "words.lurcher")


def test_what_reads_vectors_is_told_that_there_are_none(words_bundle: Path) -> None:
    with closing(Bundle.open(words_bundle)) as bundle:
        assert bundle.index is None
        for ask in (
            lambda: bundle.vectors,
            lambda: bundle.encoder,
            lambda: bundle.query_encoder(1),
        ):
            with pytest.raises(BundleError, match=r"words\.lurcher: this bundle has no vectors"):
                ask()


def test_without_words_either_it_is_refused(words: Path) -> None:
    write_manifest(words, read_manifest(words).model_copy(update={"lexical": None}))
    [problem] = verify(words)
    assert "manifest.json: it has neither an encoder nor a lexical index" in problem


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_an_encoder_that_is_not_there_are_refused(
    words: Path, answering_bundle: Path, ticket_bundle: Path, part: str
) -> None:
    other = read_manifest(ticket_bundle if part == "neighbours" else answering_bundle)
    swap: dict[str, Any] = {"built_effort": None, "built_recall": 1.0, "recall": 1.0}
    value = swap if part == "swap" else getattr(other, part).model_dump()
    manifest = read_manifest(words)
    write_manifest(words, type(manifest).model_validate(manifest.model_dump() | {part: value}))
    with pytest.raises(BundleCorrupt, match=f"manifest.json: it has '{part}', but no encoder"):
        Bundle.open(words)
