"""A feedback log that another process writes, read on as it grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from lurcher.errors import FeedbackNotKept
from lurcher.feedback.log import Some
from lurcher.feedback.log_format import connect, read, read_after
from lurcher.feedback.records import LogContent, Record


class FollowedLog:
    """A log opened for reading; call it from one thread at a time."""

    def __init__(self, path: Path, id_: str, sequence: int, db: sqlite3.Connection) -> None:
        self.path, self.id, self.sequence = path, id_, sequence
        self._db = db
        self._version: object = None

    @classmethod
    def open(cls, path: Path) -> tuple[FollowedLog, LogContent]:
        """The log at ``path``, which a process writes, and what it holds.

        Raises FeedbackCorrupt, or OSError where it cannot be read.
        """
        path = path.resolve()
        db = connect(path, "ro")
        try:
            content = read(path, db)
        except BaseException:
            db.close()
            raise
        return cls(path, content.id, content.sequence, db), content

    @property
    def bytes(self) -> int:
        """How much room the log takes on the disk, as far as it concerns who reads it."""
        return 0

    def append(self, records: Sequence[Some]) -> list[Some]:
        """Raise FeedbackNotKept: another process writes it."""
        raise FeedbackNotKept(f"{self.path} is written by another process: {len(records)} records")

    def new(self) -> list[Record]:
        """The records that came since the last time. Raises FeedbackCorrupt or OSError."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return []
        found = read_after(self.path, self._db, self.sequence)
        self._version = version
        if found:
            self.sequence = found[-1].sequence
        return found

    def close(self) -> None:
        """Close the file."""
        self._db.close()
