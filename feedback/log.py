"""The feedback log: what callers judged while servers ran, to which records are added.

An append is one transaction, synced before it returns, so it is wholly in the log or not at all. While a
server runs the file is in WAL mode, so that others can read it meanwhile; a server that stops leaves one
plain file. ``NAME.lock`` is held by the process that writes. The format is that of feedback.log_format.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from lurcher.bundle.locks import Held, hold, private
from lurcher.bundle.sync import sync
from lurcher.errors import FeedbackCorrupt, FeedbackNotKept, FieldError
from lurcher.feedback.log_files import LogFiles, check_place
from lurcher.feedback.log_format import INSERT, connect, create, is_empty, read, to_row, transaction
from lurcher.feedback.records import LogContent, Record, Removal

Some = TypeVar("Some", bound=Record)


class Log(Protocol):
    """A log that is written, or that another process writes."""

    path: Path
    id: str
    sequence: int

    @property
    def bytes(self) -> int:
        """How much room it takes on the disk."""

    def append(self, records: Sequence[Some]) -> list[Some]:
        """``records`` with their numbers. Raises FeedbackNotKept or FieldError."""

    def close(self) -> None:
        """Close the file."""


def _nothing() -> None:
    pass


def read_log(path: Path) -> LogContent:
    """The content of the log at ``path``, which a server may be writing.

    Raises FeedbackCorrupt, or OSError where the file cannot be read.
    """
    if is_empty(path):
        raise FeedbackCorrupt(path, None, "nothing was written to this log yet")
    with closing(connect(path, "ro")) as db:
        return read(path, db)


class FeedbackLog:
    """A log opened for writing, by this process alone; call it from one thread at a time."""

    def __init__(
        self, path: Path, id_: str, sequence: int, db: sqlite3.Connection, lock: BinaryIO,
        before_commit: Callable[[], None],
    ) -> None:  # fmt: skip
        self.path = path
        self.id = id_
        self.sequence = sequence
        self._db = db
        self._lock = lock
        self._files = LogFiles(path)
        self._before_commit = before_commit

    @classmethod
    def open(
        cls, path: Path, before_commit: Callable[[], None] = _nothing
    ) -> tuple[FeedbackLog, LogContent]:
        """The log at ``path``, made where there is none, and what it holds.

        ``before_commit`` is a fail point: it is called when an append is written and not yet committed.

        Raises FeedbackCorrupt for a damaged log or another file, which stays as it is; FieldError naming
        the setting where the file cannot be opened or another process writes it.
        """
        path = path.resolve()
        check_place(path)
        try:
            # Queries and addresses of callers are nobody else's business; SQLite's files beside it follow.
            open(path, "ab", opener=private).close()
            lock = hold(path.with_name(f"{path.name}.lock"))
        except Held as error:
            reason = (
                f"another process writes to {path}: {error.by}; each server needs a log of its own"
            )
            raise FieldError("feedback", reason) from error
        except OSError as error:
            raise FieldError("feedback", f"cannot open {path}: {error.strerror}") from error
        try:
            db, content = _open_or_create(path)
        except (OSError, sqlite3.OperationalError) as error:
            lock.close()
            raise FieldError("feedback", f"cannot use {path}: {error}") from error
        except BaseException:
            lock.close()
            raise
        return cls(path, content.id, content.sequence, db, lock, before_commit), content

    @property
    def bytes(self) -> int:
        """How much room the log takes on the disk."""
        return self._files.bytes

    def append(self, records: Sequence[Some]) -> list[Some]:
        """``records`` with their numbers: all of them on the disk when this returns.

        Raises FeedbackNotKept where they cannot be written. None of them is in the log then, unless the
        power fails before that is on the disk, and the log can be used on, unless somebody has deleted or
        cut it. Raises FieldError where a client uses a key again.
        """
        numbered = [
            replace(record, sequence=number)
            for number, record in enumerate(records, self.sequence + 1)
        ]
        try:
            self._files.check()
            with transaction(self._db):
                for record in numbered:
                    self._db.execute(INSERT, to_row(record))
                    if isinstance(record, Removal):
                        self._take_back(record)
                self._before_commit()
            self._files.note()
        except sqlite3.IntegrityError as error:
            raise FieldError("Idempotency-Key", "stands for another request in the log") from error
        except (OSError, sqlite3.Error) as error:
            raise FeedbackNotKept(f"{self.path} cannot be written: {error}") from error
        if numbered:
            self.sequence = numbered[-1].sequence
        return numbered

    def _take_back(self, removal: Removal) -> None:
        marked = "UPDATE records SET taken_back = ? WHERE key IS NOT NULL AND taken_back IS NULL"
        number = removal.sequence
        self._db.executemany(f"{marked} AND key = ?", [(number, key) for key in removal.keys])
        if removal.before is not None:
            self._db.execute(f"{marked} AND time < ?", (number, removal.before))

    def close(self) -> None:
        """Leave one plain file and let others write to it."""
        with suppress(sqlite3.Error):  # somebody reads it now: then it stays in WAL mode
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        self._lock.close()


def _open_or_create(path: Path) -> tuple[sqlite3.Connection, LogContent]:
    empty = is_empty(path)
    db = connect(path, "rw")
    try:
        if empty:
            create(db)
            sync(path.parent)
        content = read(path, db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # in WAL mode: one sync a commit
    except BaseException:
        db.close()
        raise
    return db, content
