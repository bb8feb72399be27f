"""The files of a feedback log: what they may be when it is opened, and what must not happen to them later."""

from __future__ import annotations

import os
from pathlib import Path

from lurcher.errors import FeedbackCorrupt, FieldError


def wal_of(path: Path) -> Path:
    """Where SQLite keeps what was not yet written into the log at ``path`` itself."""
    return path.with_name(f"{path.name}-wal")


def check_place(path: Path) -> None:
    """Raise FieldError if ``path`` is no plain file, and FeedbackCorrupt if its content was lost.

    A pipe would be waited on for ever; to a device nothing would be kept.
    """
    if not path.exists() or path.is_dir():  # opening it says what is wrong, if anything
        return
    if not path.is_file():
        raise FieldError("feedback", f"cannot open {path}: it is not a plain file")
    wal = wal_of(path)
    if not path.stat().st_size and wal.exists() and wal.stat().st_size:
        reason = (
            f"it is empty, and {wal.name} beside it is not: the log was cut short; bring both back from a"
            " copy, or delete both to begin anew"
        )
        raise FeedbackCorrupt(path, None, reason)


class LogFiles:
    """A log's files as they were last seen.

    SQLite would go on writing to a file that has no name any more, or to what is left of one that was cut
    short, and all of it would be lost.
    """

    def __init__(self, path: Path) -> None:
        self._seen: dict[Path, os.stat_result | None] = dict.fromkeys((path, wal_of(path)))
        self.note()

    @property
    def bytes(self) -> int:
        """How much room they took on the disk when they were noted last."""
        return sum(seen.st_size for seen in self._seen.values() if seen)

    def note(self) -> None:
        """Take them as they are: this process has written to them. One that is another stays unseen."""
        for path, seen in self._seen.items():
            now = _state(path)
            if seen is None or (now is not None and os.path.samestat(now, seen)):
                self._seen[path] = now

    def check(self) -> None:
        """Raise OSError where one of them was deleted, replaced or cut short since."""
        for path, seen in self._seen.items():
            now = _state(path)
            if seen is None:
                continue
            if now is None:
                raise OSError(f"{path.name} was deleted")
            if not os.path.samestat(now, seen):
                raise OSError(f"{path.name} was replaced by another file")
            if now.st_size < seen.st_size:
                raise OSError(f"{path.name} was cut short")


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
