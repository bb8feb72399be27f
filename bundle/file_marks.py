"""Whether the files of an opened bundle are changed under it, as nobody may.

They are mapped: of a file that is cut short the kernel ends the process that reads on (SIGBUS), and what is
written over it is searched as if it were the bundle's. A file that is removed, or replaced by another of its
name, stays as it was for whoever has it open.
"""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import FileEntry, hash_file

_Mark = tuple[int, int, int, int]  # device, inode, size, nanoseconds of the last change


class FileMarks:
    """What the disk says of a bundle's files; call it from one thread at a time."""

    def __init__(self, bundle: Bundle) -> None:
        """Take note of the files of ``bundle`` as they are."""
        self._files = {bundle.path / name: entry for name, entry in bundle.manifest.files.items()}
        self._marks = {file: mark for file in self._files if (mark := _mark(file)) is not None}

    def changed(self) -> Path | None:
        """A file with other content than before, None: there is none.

        A file of a new time and the old size is read: it may have been touched.
        """
        for file, before in self._marks.items():
            now = _mark(file)
            if now is None or now == before or now[:2] != before[:2]:
                continue
            if now[2] != before[2] or not _holds(file, self._files[file]):
                return file
            self._marks[file] = now
        return None


def _mark(file: Path) -> _Mark | None:
    """What tells the file's content from another; None if there is no file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _holds(file: Path, entry: FileEntry) -> bool:
    """Whether the content of ``file`` is that of ``entry``."""
    try:
        return hash_file(file) == entry
    except OSError:
        return True  # it is gone meanwhile
