"""A SQLite file that holds the tables of ``passages`` and nothing that runs.

A view that never ends, a trigger or a virtual table in the place of a table would be run by the first query,
and a bundle may be a stranger's. So a file is opened to be read only, and its schema has to be one that a
build writes: these tables, with stored columns alone, and their indexes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lurcher.errors import BundleCorrupt

_TABLES = {"passages", "attributes", "kinds", "progress"}
_INDEXES = {"by_since", "by_document", "by_value"}

# Bytes of one passage with all that belongs to it.
MOST_BYTES = 64 << 20
# What the first look at a file may take: counting two million passages takes a tenth of a second. A tree
# whose branches lead to one another may have no end.
_SECONDS = 60.0


def open_plain(path: Path) -> sqlite3.Connection:
    """A connection to read the file at ``path`` by. Raises BundleCorrupt, sqlite3.DatabaseError."""
    # immutable: no lock files, so a bundle on a read-only disk opens too.
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute(f"PRAGMA mmap_size = {path.stat().st_size}")  # no read call a page
        if (fault := _fault(db)) is not None:
            raise BundleCorrupt(path.parent, path.name, f"has {fault}, which no build writes")
    except BaseException:
        db.close()
        raise
    return db


def _fault(db: sqlite3.Connection) -> str | None:
    """What in the schema a build does not write; None if there is nothing."""
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master"):
        known = _TABLES if kind == "table" else _INDEXES if kind == "index" else set()
        # Of a unique column SQLite makes an index of its own, which has no text.
        if name not in known and not (kind == "index" and sql is None):
            return f"the {kind} {name[:100]!r}"
        if kind == "table":
            if sql.split(None, 2)[1].upper() != "TABLE":
                return f"the virtual table {name!r}"
            hidden = [one[1] for one in db.execute(f"PRAGMA table_xinfo({name})") if one[6]]
            if hidden:
                return f"the computed column {hidden[0][:100]!r}"
    return None


@contextmanager
def in_time(db: sqlite3.Connection, seconds: float = _SECONDS) -> Iterator[None]:
    """Let queries of the block fail that are not done after so many ``seconds``."""
    watch = threading.Timer(seconds, db.interrupt)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
