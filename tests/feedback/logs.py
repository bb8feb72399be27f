"""Logs for tests: in memory where nothing is restarted, else on a disk that needs no syncing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Record


class _MemoryLog:
    """Numbers records as a log does, and keeps them; writes nothing."""

    id = "0" * 32
    sequence = 0
    bytes = 0

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, records: Sequence[Record]) -> list[Record]:
        numbered = [replace(r, sequence=self.sequence + i) for i, r in enumerate(records, 1)]
        self.sequence += len(numbered)
        self.records += numbered
        return numbered

    def close(self) -> None:
        pass


def memory_log() -> FeedbackLog:
    return cast(FeedbackLog, _MemoryLog())


@contextmanager
def quick_path() -> Iterator[Path]:
    """A path for a log in memory, where the machine has such a folder: a sync costs nothing there."""
    memory = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder) / "feedback.log"
