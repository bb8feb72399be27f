"""The next generation of a bundle: other segments and deletions, published by one rename.

Every file but the manifest is written once and never changed. So a change of a bundle writes new files, syncs
them, and replaces ``manifest.json``: at any moment the bundle is one generation or the next, and whoever has
opened the old one keeps its files open. What no generation names any more is the writer's to remove.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    FileEntry,
    Manifest,
    SegmentEntry,
    manifest_text,
    read_manifest,
)
from lurcher.bundle.sync import DISK, Disk
from lurcher.errors import BundleCorrupt

# While it is written.
UNFINISHED = f"{MANIFEST}.new"

# What is written while it is read is read again so often.
_TRIES = 10

_Settings = TypeVar("_Settings", bound=BaseModel)
_Read = TypeVar("_Read")

# What adds up over segments; the rest of the settings is the same in each, or frozen for the collection.
_SUMS = ("tokens", "codes", "states", "truncated", "postings", "bytes")


def of_newest(path: Path, read: Callable[[Manifest], _Read]) -> _Read:
    """What ``read`` makes of the current generation of the bundle at ``path``.

    A writer that publishes the next one meanwhile may remove files of this one: then it is read again.
    """
    for left in reversed(range(_TRIES)):
        manifest = read_manifest(path)
        try:
            return read(manifest)
        except (BundleCorrupt, OSError):
            if not left or read_manifest(path).generation == manifest.generation:
                raise
    raise AssertionError  # the last try returns or raises


def next_generation(
    manifest: Manifest, segments: Sequence[SegmentEntry], files: Mapping[str, FileEntry]
) -> Manifest:
    """The manifest of the generation after ``manifest`` that has ``segments`` and all of ``files``.

    Each of several segments says what its stores hold (``Manifest.stores_of``).
    """
    stores = [manifest.stores_of(segment) for segment in segments]
    totals: dict[str, Any] = {
        name: _total(getattr(manifest, name), [getattr(one, name) for one in stores])
        for name in ("lexical", "tokens", "states", "reading")
    }
    change = {
        "format_version": FORMAT_VERSION, "generation": manifest.generation + 1,
        "segments": list(segments), "files": dict(sorted(files.items())),
    }  # fmt: skip
    return manifest.model_copy(update=totals | change)


def _total(whole: _Settings | None, parts: Sequence[_Settings | None]) -> _Settings | None:
    """``whole`` with the sums of what ``parts`` count."""
    if whole is None:
        return None
    sums = {
        name: sum(getattr(part, name) for part in parts if part is not None)
        for name in _SUMS
        if name in type(whole).model_fields
    }
    return whole.model_copy(update=sums)


def publish_generation(
    root: Path, manifest: Manifest, fail_point: FailPoint = carry_on, disk: Disk = DISK
) -> None:
    """Make ``manifest`` the current generation of the bundle at ``root``. Raises OSError.

    All files that it names, and the folders they lie in, are on disk already.
    """
    unfinished = root / UNFINISHED
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(manifest_text(manifest))
        file.flush()
        disk.sync_data(file.fileno())
    fail_point("generation: written")
    disk.replace(unfinished, root / MANIFEST)
    fail_point("generation: renamed")
    disk.sync(root)
