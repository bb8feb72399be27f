"""How a feedback log lies in its SQLite file: created, checked and read.

::

    header      application_id "LFBK", user_version 2 (the format)
    log         id TEXT, crc INTEGER              one row; id: 32 random hex digits
    records     sequence INTEGER PRIMARY KEY      counts records from 1 and rises
                time REAL                         seconds since 1970, UTC
                client TEXT, key TEXT             of a submission; else NULL
                taken_back INTEGER                number of the removal that took a submission back
                body TEXT                         JSON, by the kind of record:
                    {"pairs": [[query, passage id, weight], ...], "request": digest, "refused": [index, ...]}
                    {"keys": [...], "before": time or null}
                    {"limits": {"clients", "client_weight"}}
                crc INTEGER                       CRC-32 of all other columns but taken_back

Records are never changed or deleted; ``taken_back`` follows from the removals, and lets a unique index
hold that a client's key stands for one submission. SQLite itself has no checksums of content, hence
``crc``: a changed byte is found when the log is opened.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from lurcher.errors import FeedbackCorrupt
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.records import LimitsChange, LogContent, Pair, Record, Removal, Submission

_Some = TypeVar("_Some")

FORMAT = 2
_APPLICATION = int.from_bytes(b"LFBK")
_SCHEMA = (
    "CREATE TABLE log(id TEXT NOT NULL, crc INTEGER NOT NULL)",
    "CREATE TABLE records(sequence INTEGER PRIMARY KEY, time REAL NOT NULL, client TEXT, key TEXT,"
    " taken_back INTEGER, body TEXT NOT NULL, crc INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX one_submission_a_key ON records(key, client)"
    " WHERE key IS NOT NULL AND taken_back IS NULL",
)
_NOT_ITS_FAULT = (
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_READONLY",
)
_COLUMNS = "SELECT sequence, time, client, key, body, crc, taken_back FROM records"
_BUSY_SECONDS = 1.0  # how long somebody else's lock on the file is waited for


def is_empty(path: Path) -> bool:
    """Whether nothing was written at ``path`` yet. Raises FeedbackCorrupt for a file that is no log."""
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited on
        raise FeedbackCorrupt(path, None, "not a plain file; name another one")
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        return True
    # Nothing else the path may name is opened as a database, which could change it.
    if b'{"format":1,' in head[:21]:
        reason = (
            "a log of lines, as earlier versions of lurcher wrote them; this version keeps feedback in"
            " another format and cannot read it: name another file"
        )
        raise FeedbackCorrupt(path, None, reason)
    if not head.startswith(b"SQLite format 3\0") or int.from_bytes(head[68:72]) != _APPLICATION:
        raise FeedbackCorrupt(path, None, "not a feedback log; name another file")
    version = int.from_bytes(head[60:64])
    if version != FORMAT:
        reason = f"format {version}, this version reads {FORMAT}: upgrade lurcher"
        raise FeedbackCorrupt(path, None, reason)
    return False


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file at ``path``; ``mode`` is ``ro`` or ``rw``. Raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
    )
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def create(db: sqlite3.Connection) -> None:
    """Make an empty log, with a new id, in an empty database."""
    id_ = token_hex(16)
    with transaction(db):
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO log VALUES (?, ?)", (id_, zlib.crc32(id_.encode())))


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """What is done within is in the database wholly, or not at all where it raises."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some errors have rolled it back already
            db.execute("ROLLBACK")
        raise


def read(path: Path, db: sqlite3.Connection) -> LogContent:
    """All that ``db`` holds, as it is at one moment. Raises FeedbackCorrupt or OSError."""
    return _told(path, db, lambda: _content(path, db))


def read_after(path: Path, db: sqlite3.Connection, sequence: int) -> list[Record]:
    """The records after number ``sequence``, in order. Raises FeedbackCorrupt or OSError."""
    query = f"{_COLUMNS} WHERE sequence > ? ORDER BY sequence"
    return _told(
        path, db, lambda: [_record(path, *row[:6]) for row in db.execute(query, (sequence,))]
    )


def _told(path: Path, db: sqlite3.Connection, read: Callable[[], _Some]) -> _Some:
    """What ``read`` gives of the state of ``db`` at one moment. Raises FeedbackCorrupt or OSError."""
    try:
        with transaction(db, "DEFERRED"):
            return read()
    except sqlite3.OperationalError as error:
        # Text that is not UTF-8 is an error of Python's own, without a code.
        if getattr(error, "sqlite_errorname", "").startswith(_NOT_ITS_FAULT):
            raise OSError(f"cannot read {path}: {error}") from error
        raise _damaged(path, str(error)) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error


def _content(path: Path, db: sqlite3.Connection) -> LogContent:
    schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    if tuple(sql for (sql,) in db.execute(schema)) != _SCHEMA:
        raise _damaged(path, "not the tables of a feedback log")
    for (fault,) in db.execute("PRAGMA integrity_check(1)"):
        if fault != "ok":
            raise _damaged(path, fault)
    ids = db.execute("SELECT id, crc FROM log").fetchall()
    if len(ids) != 1 or zlib.crc32(str(ids[0][0]).encode()) != ids[0][1]:
        raise _damaged(path, "the log's id")
    rows = db.execute(f"{_COLUMNS} ORDER BY sequence").fetchall()
    content = LogContent(ids[0][0], tuple(_record(path, *row[:6]) for row in rows))
    valid = {row[0] for row in rows if row[3] is not None and row[6] is None}
    if valid != {one.sequence for one in content.submissions}:
        raise _damaged(path, "what was taken back is not what its removals say")
    return content


def _damaged(path: Path, reason: str) -> FeedbackCorrupt:
    return FeedbackCorrupt(path, None, f"damaged ({reason}); bring the file back from a copy")


INSERT = "INSERT INTO records(sequence, time, client, key, body, crc) VALUES (?, ?, ?, ?, ?, ?)"
_Row = tuple[int, float, str | None, str | None, str, int]


def to_row(record: Record) -> _Row:
    """The values that INSERT takes for ``record``, which has its number."""
    client = key = None
    body: dict[str, Any]
    if isinstance(record, Submission):
        client, key = record.client, record.key
        body = {"pairs": record.pairs, "request": record.request, "refused": record.refused}
    elif isinstance(record, Removal):
        body = {"keys": record.keys, "before": record.before}
    else:
        limits = record.limits
        body = {"limits": {"clients": limits.clients, "client_weight": limits.client_weight}}
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    time = float(record.time)
    crc = _crc(record.sequence, time, client, key, text)
    return record.sequence, time, client, key, text, crc


def _crc(sequence: int, time: float, client: str | None, key: str | None, body: str) -> int:
    return zlib.crc32(repr((sequence, time, client, key, body)).encode())


def _record(
    path: Path, sequence: int, time: float, client: str | None, key: str | None, body: str, crc: int
) -> Record:
    """The record of a row. Raises FeedbackCorrupt."""
    if _crc(sequence, time, client, key, body) != crc:
        reason = "the record is damaged; bring the file back from a copy"
        if key is not None:
            delete = f"DELETE FROM records WHERE sequence = {sequence}"  # noqa: S608 (a number)
            reason += (
                ", or delete the record, which loses the feedback in it alone:"
                f" sqlite3 {path} '{delete}'"
            )
        raise FeedbackCorrupt(path, sequence, reason)
    found = json.loads(body)
    if client is not None and key is not None:
        pairs = tuple(Pair(*pair) for pair in found["pairs"])
        refused = tuple(found["refused"])
        return Submission(client, time, key, pairs, found["request"], refused, sequence)
    if "limits" in found:
        return LimitsChange(time, Limits(**found["limits"]), sequence)
    return Removal(time, tuple(found["keys"]), found["before"], sequence)
