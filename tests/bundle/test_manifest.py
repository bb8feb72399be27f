"""The manifest guards its own bytes and those of every other file."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lurcher.bundle.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    BuildSettings,
    Figures,
    FileEntry,
    Manifest,
    SegmentEntry,
    changed_files,
    hash_file,
    list_files,
    lurcher_version,
    read_manifest,
    write_manifest,
)
from lurcher.errors import BundleCorrupt, BundleVersionError
from lurcher.models.encoders.config import EncoderConfig

counts = st.integers(0, 2**40)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Zeros and checksums inside: the manifest must tell its own checksum from all of them.
digests = st.sampled_from(["0" * 64, "f" * 64, '"checksum": "' + "0" * 64 + '"'])
encoders = st.builds(
    EncoderConfig,
    name=words,
    architecture=words,
    dimension=st.integers(1, 4_096),
    max_tokens=st.integers(1, 8_192),
    pooling=st.sampled_from(["mean", "cls"]),
    similarity=st.sampled_from(["cosine", "dot"]),
    query_prompt=words | digests,
    precision=st.sampled_from(["int8", "fp32"]),
    source=st.just("sha256:" + "0" * 64),
    fingerprint=st.just("sha256:" + "0" * 64),
)
manifests = st.builds(
    Manifest,
    format_version=st.just(FORMAT_VERSION),
    lurcher_version=words,
    name=words | digests,
    created=words,
    encoder=st.none() | encoders,
    build=st.builds(
        BuildSettings, corpus=words, index=words, recall_target=st.floats(0, 1), seed=counts
    ),
    figures=st.builds(
        Figures,
        empty_passages=counts,
        truncated_passages=counts,
        skipped_records=counts,
        search_effort=st.none() | counts,
        recall_at_100=st.none() | st.floats(0, 1),
        recall_queries=counts,
    ),
    segments=st.lists(st.builds(SegmentEntry, name=words, passages=counts), max_size=3),
    files=st.dictionaries(words, st.builds(FileEntry, bytes=counts, sha256=digests), max_size=3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifests)
def test_a_manifest_comes_back_as_it_went_in(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path, manifest)
    found = read_manifest(tmp_path)
    assert found.model_copy(update={"checksum": manifest.checksum}) == manifest
    assert found.passages == sum(segment.passages for segment in manifest.segments)


def test_writing_again_what_was_read_changes_nothing(small_bundle: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path, read_manifest(small_bundle))
    assert (tmp_path / MANIFEST).read_bytes() == (small_bundle / MANIFEST).read_bytes()


def test_the_hashes_are_those_of_sha256sum(small_bundle: Path) -> None:
    for path, entry in read_manifest(small_bundle).files.items():
        content = (small_bundle / path).read_bytes()
        assert entry == FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def test_files_are_listed_with_forward_slashes_and_without_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in (MANIFEST, "top", "a/b/deep", f"a/{MANIFEST}"):
        (tmp_path / name).write_text(name)
    assert list(list_files(tmp_path)) == ["a/b/deep", f"a/{MANIFEST}", "top"]


def test_a_file_of_the_same_size_and_another_content_is_changed(
    small_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("same")
    (tmp_path / "two").write_text("same")
    manifest = read_manifest(small_bundle).model_copy(update={"files": list_files(tmp_path)})
    assert changed_files(tmp_path, manifest.files) == {}
    (tmp_path / "two").write_text("size")
    assert changed_files(tmp_path, manifest.files) == {
        "two": "its content has changed (sha256 differs)"
    }
    assert hash_file(tmp_path / "one") == manifest.files["one"]


def rewritten(source: Path, target: Path, change: dict[str, Any]) -> None:
    """A manifest with other content, and a checksum that agrees with it."""
    fields = json.loads((source / MANIFEST).read_text()) | change | {"checksum": "0" * 64}
    text = json.dumps(fields)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    text = re.sub(r'"checksum": "0{64}"', f'"checksum": "{checksum}"', text)
    (target / MANIFEST).write_text(text)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"segments": [{"name": "000000", "passages": -1}]}, r"segments\.0\.passages"),
        ({"files": {"a": {"bytes": "many", "sha256": ""}}}, r"files\.a\.bytes"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"figures": {}}, r"figures\.empty_passages"),
    ],
)
def test_a_field_that_cannot_be_is_named(
    small_bundle: Path, tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    rewritten(small_bundle, tmp_path, change)
    with pytest.raises(BundleCorrupt, match=rf"manifest\.json: {where}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b"\xff\xfe",
        b"{}",
        b'{"format_version": 2}',
        b'{"format_version": 4}',
        b"\x00" * 9,
    ],
)
def test_what_is_no_manifest_is_corrupt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleCorrupt) as caught:
        read_manifest(tmp_path)
    assert caught.value.file == MANIFEST


@pytest.mark.parametrize("version", [0, 1, 6])
def test_another_format_is_told_before_anything_else_in_it_is_read(
    tmp_path: Path, version: int
) -> None:
    (tmp_path / MANIFEST).write_text(f'{{"format_version": {version}, "whatever": "comes then"}}')
    with pytest.raises(
        BundleVersionError, match="another version; this version reads formats 2, 3, 4 and 5"
    ):
        read_manifest(tmp_path)


def test_the_version_is_that_of_the_installation() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", lurcher_version())
