"""The text files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.texts.kinds import TEXT_KINDS, kind_suffix

Scan = Callable[[Path], AbstractContextManager[Iterable["os.DirEntry[str]"]]]


def text_files(root: Path, scan: Scan = os.scandir) -> tuple[list[Path], list[Record]]:
    """The text files below ``root``, by path; and a bad record for each file or folder that cannot be read.

    Hidden files and folders, and links that lead out of ``root``, are passed over. Tests let ``scan``, which
    lists a folder, fail. Raises OSError where ``root`` itself cannot be listed.
    """
    inside = root.resolve()
    found: list[Path] = []
    faults: list[Record] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with scan(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            if folder == root:
                raise
            faults.append(_fault(folder, error))
            continue
        for entry in entries:
            path = folder / entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif kind_suffix(path) in TEXT_KINDS and _is_ours(path, inside):
                    found.append(path)
            except OSError as error:
                faults.append(_fault(path, error))
    faults.sort(key=lambda record: record.file)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix()), faults


def _is_ours(path: Path, inside: Path) -> bool:
    # A link out of the folder could publish any file of the machine.
    return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(inside))


def _fault(path: Path, error: OSError) -> Record:
    return Record(path, None, reason=f"cannot be read: {error.strerror}")
