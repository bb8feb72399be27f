"""Flushing to disk what something is going to rely on, and the operations whose order matters then.

What a power failure leaves of what was not flushed nobody knows: any of it, in any order. A writer of a
bundle goes through a ``Disk``, so that a test can note each operation and replay what is left of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


class Disk:
    """The disk that there is. All operations raise OSError."""

    def sync(self, path: Path) -> None:
        """Flush the file at ``path``, or of a folder the list of its files."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def sync_all(self, paths: Sequence[Path]) -> None:
        """``sync`` each of ``paths``."""
        for path in paths:
            self.sync(path)

    def append(self, file: int, data: bytes) -> None:
        """Write all of ``data`` to the end of an open file."""
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]

    def sync_data(self, file: int) -> None:
        """Flush what an open file holds, and how long it is."""
        os.fdatasync(file)

    def truncate(self, file: int, size: int) -> None:
        """Cut an open file to ``size`` bytes, and flush that."""
        os.ftruncate(file, size)
        os.fsync(file)

    def replace(self, path: Path, target: Path) -> None:
        """Give the file at ``path`` the name ``target``, in the place of one that has it."""
        path.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove the file at ``path``."""
        path.unlink()


DISK = Disk()


def sync(path: Path) -> None:
    """Flush the file at ``path`` to disk, or of a folder the list of its files. Raises OSError."""
    DISK.sync(path)


def sync_all(paths: Sequence[Path]) -> None:
    """``sync`` each of ``paths``. Raises OSError."""
    DISK.sync_all(paths)
