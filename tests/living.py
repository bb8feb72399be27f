"""Bundles of several segments and deletions, made of one that was built."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.generations import next_generation, publish_generation
from lurcher.bundle.manifest import FileEntry, Manifest, SegmentEntry, hash_file, read_manifest
from lurcher.bundle.tombstones import deleted_file, write_deleted

SECOND = "segments/000001"


def publish(
    path: Path, segments: Sequence[SegmentEntry], files: dict[str, FileEntry], **how: Any
) -> Manifest:
    manifest = next_generation(read_manifest(path), segments, files)
    publish_generation(path, manifest, **how)
    return manifest


def without(path: Path, entry: SegmentEntry, rows: Sequence[int]) -> SegmentEntry:
    """``entry`` with ``rows`` deleted; writes which these are."""
    manifest = read_manifest(path)
    deleted = np.zeros(entry.passages, np.bool_)
    deleted[list(rows)] = True
    name = deleted_file(entry.folder, manifest.generation + 1)
    write_deleted(path, name, deleted)
    stores = manifest.stores_of(entry)
    return entry.model_copy(update={"deleted": name, "deletions": len(rows), "stores": stores})


def files_with(path: Path, *new: str | None) -> dict[str, FileEntry]:
    """All files of the bundle with some new ones."""
    added = {name: hash_file(path / name) for name in new if name is not None}
    return read_manifest(path).files | added


def cut_in_two(path: Path) -> None:
    """Make two segments of a bundle of 60: the last ten passages of the first, the others of its copy."""
    shutil.copytree(path / SEGMENT, path / SECOND)
    (first,) = read_manifest(path).segments
    entries = [
        without(path, first, range(50)),
        without(path, first.model_copy(update={"name": "000001"}), range(50, 60)),
    ]
    new = [f"{SECOND}/{file.name}" for file in (path / SECOND).iterdir()]
    publish(path, entries, files_with(path, *new, *(one.deleted for one in entries)))
