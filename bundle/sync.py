"""Flushing to disk what something is going to rely on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def sync(path: Path) -> None:
    """Flush the file at ``path`` to disk, or of a folder the list of its files. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(paths: Sequence[Path]) -> None:
    """``sync`` each of ``paths``. Raises OSError."""
    for path in paths:
        sync(path)
