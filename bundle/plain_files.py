"""Whether a bundle is nothing but plain files of its own, as whoever gets one from a stranger has to know.

A link or a path with ``..`` would have a file of somebody else's read and shown in hits; a pipe or a device
in the place of a file would be read for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lurcher.bundle.manifest import MANIFEST, Manifest
from lurcher.errors import BundleCorrupt


def check_plain_files(root: Path, manifest: Manifest) -> None:
    """Raise BundleCorrupt where ``manifest`` names a path that leads elsewhere, or ``root`` holds a link.

    Likewise for a pipe, a socket or a device. ``root`` itself may be a link: its owner has named it.
    """
    for name in _named(manifest):
        if not _stays_within(name):
            raise BundleCorrupt(root, MANIFEST, f"names {name!r}, which is no path in the bundle")
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            kind = "a link" if path.is_symlink() else "no plain file"
            if path.is_symlink() or not (path.is_file() or path.is_dir() or not path.exists()):
                file = path.relative_to(root).as_posix()
                raise BundleCorrupt(root, file, f"is {kind}; a bundle holds files and folders only")


def _named(manifest: Manifest) -> Iterator[str]:
    yield from manifest.files
    for segment in manifest.segments:
        yield segment.folder
        if segment.deleted is not None:
            yield segment.deleted


def _stays_within(name: str) -> bool:
    """Whether ``name`` is a path, with forward slashes, to something below the folder it is relative to."""
    return not set(name) & {"\\", "\0", ":"} and not set(name.split("/")) & {"", ".", ".."}
