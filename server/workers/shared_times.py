"""Times that all workers of a server share: a file for each key.

::

    rate-KEY    the time as a float64, little-endian; KEY is the start of the key's hash
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

_CELL = struct.Struct("<d")


class SharedTimes:
    """``server.rates.Times`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}

    def change(self, key: str, step: Callable[[float], float]) -> None:
        """As ``Times.change``; other processes wait meanwhile, for some microseconds."""
        file = self._files.get(key)
        if file is None:
            path = self._folder / f"rate-{key.removeprefix('sha256:')[:32]}"
            file = self._files[key] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            cell = os.pread(file, _CELL.size, 0)
            before = _CELL.unpack(cell)[0] if cell else 0.0
            os.pwrite(file, _CELL.pack(step(before)), 0)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
