"""Which write the searches of each worker know, where all workers can read it.

::

    seen-NAME    of the bundle NAME: a u64 for each worker, little-endian

A worker that does not run, or is not ready, has the largest number there is: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress
from pathlib import Path
from time import monotonic

_CELL = struct.Struct("<Q")
_NOBODY = 2**64 - 1
_PAUSE = 0.002  # seconds between two looks


class Seen:
    """What the ``count`` workers that share ``folder`` have seen."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count

    def note(self, bundle: str, worker: int, sequence: int) -> None:
        """The searches of ``worker`` know all writes of ``bundle`` up to ``sequence``."""
        path = self._folder / f"seen-{bundle}"
        if not path.exists():
            made = path.with_name(f".{path.name}-{worker}")
            made.write_bytes(_CELL.pack(_NOBODY) * self._count)
            with suppress(FileExistsError):  # another worker was quicker
                os.link(made, path)
            made.unlink()
        self._write(path, worker, sequence)

    def forget(self, worker: int) -> None:
        """``worker`` does not run any more."""
        for path in self._folder.glob("seen-*"):
            self._write(path, worker, _NOBODY)

    def _write(self, path: Path, worker: int, sequence: int) -> None:
        file = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(file, _CELL.pack(sequence), worker * _CELL.size)
        finally:
            os.close(file)

    def least(self, bundle: str) -> int:
        """The last write of ``bundle`` that all workers know."""
        cells = (self._folder / f"seen-{bundle}").read_bytes()
        return int(min(number for (number,) in _CELL.iter_unpack(cells)))

    async def reached(self, bundle: str, sequence: int, seconds: float) -> bool:
        """Wait until all workers know write ``sequence``, at most so many ``seconds``; whether they do."""
        deadline = monotonic() + seconds
        while self.least(bundle) < sequence:
            if monotonic() >= deadline:
                return False
            await asyncio.sleep(_PAUSE)
        return True
