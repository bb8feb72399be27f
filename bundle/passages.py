"""Passages and their metadata: one SQLite file.

::

    passages(row INTEGER PRIMARY KEY, id TEXT UNIQUE, title TEXT, text TEXT, metadata TEXT,
             document TEXT, section TEXT, start INTEGER, "end" INTEGER, anchor TEXT, url TEXT, source BLOB,
             since REAL)
    attributes(field TEXT, value, row INTEGER)    one line for each filterable metadata value
    kinds(field TEXT, kind TEXT, passages INTEGER)    in how many passages a field holds each kind of value
    progress(records, skipped, characters, read)  one line: how far the build read the corpus, how many
                                                  characters it has so far, and how many passages have

``row`` counts from 0 in corpus order and is the passage's position in the vectors file.
``document`` is NULL where the passage is all of its document, and has its id; ``section`` a JSON list, NULL
for (); ``start`` and ``end`` are offsets in the document's text; ``anchor`` and ``url`` are NULL for "".
``source`` is a hash of the document as it was read and how many passages it has, NULL where that is not
known; files of formats up to 4 have no such column. ``since`` is when the text was written in the place of
another one or of none, in seconds since 1970, UTC: what was judged before is of another text. It is NULL
where the build wrote it.
``metadata`` is a JSON object. Its scalars, and the scalars of its lists, are filterable; they stand
in ``attributes`` with their SQLite type (true and false as 1 and 0), names and texts in Unicode's form NFC.
Nested objects and lists, and more than 64 numbers in one list, are stored and returned, not filterable;
``bundle/attributes.py`` says what becomes of each kind. Files of format 2 have no ``kinds``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.attributes import Kind, attributes
from lurcher.bundle.conditions import Condition, Scalar, sql_test
from lurcher.bundle.field_values import FieldValues, field_values
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.passage import Passage, content_of, line_of, passage_of, path_of
from lurcher.bundle.plain_tables import in_time, open_plain
from lurcher.errors import BundleCorrupt

__all__ = ["Condition", "Passage", "PassageWriter", "Passages", "Rows", "Scalar"]

Rows = npt.NDArray[np.int64]

_IDS_A_QUERY = 1_000
_VALUES_A_QUERY = 10_000  # SQLite allows 32,766 values in one statement


class PassageWriter:
    """Appends passages in transactions that also say how far the corpus was read.

    A writer opened on an unfinished file goes on where its last transaction ended.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # The file is worthless until the build is done, so a lost power supply may cost it;
        # a killed process may not, and WAL holds against that without an fsync a transaction.
        self._db.executescript("""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = OFF;
            CREATE TABLE IF NOT EXISTS passages(
                row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
                text TEXT NOT NULL, metadata TEXT NOT NULL, document TEXT, section TEXT,
                start INTEGER NOT NULL, "end" INTEGER NOT NULL, anchor TEXT, url TEXT,
                source BLOB, since REAL);
            CREATE INDEX IF NOT EXISTS by_since ON passages(since) WHERE since IS NOT NULL;
            CREATE INDEX IF NOT EXISTS by_document ON passages(document)
                WHERE document IS NOT NULL;
            CREATE TABLE IF NOT EXISTS attributes(field TEXT NOT NULL, value, row INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS kinds(
                field TEXT NOT NULL, kind TEXT NOT NULL, passages INTEGER NOT NULL,
                PRIMARY KEY (field, kind)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS progress(
                records INTEGER NOT NULL, skipped INTEGER NOT NULL,
                characters INTEGER NOT NULL, read INTEGER NOT NULL);
        """)
        self.count: int = self._db.execute("SELECT count(*) FROM passages").fetchone()[0]
        done = self._db.execute("SELECT * FROM progress").fetchone()
        self.records: int
        self.skipped: int
        self.characters: int
        self.read: int
        self.records, self.skipped, self.characters, self.read = done or (0, 0, 0, 0)

    def owners(self, ids: Iterable[str]) -> dict[str, str]:
        """Those of ``ids`` that a passage or a document in the file has already, and the document's id."""
        query = "SELECT coalesce(document, id) FROM passages WHERE id = ?1 OR document = ?1 LIMIT 1"
        found = {one: self._db.execute(query, (one,)).fetchone() for one in ids}
        return {one: line[0] for one, line in found.items() if line is not None}

    def append(
        self, passages: Sequence[Passage], records: int, skipped: int, characters: int = 0, read: int = 0,
        sources: Sequence[bytes | None] | None = None, since: Sequence[float | None] | None = None,
    ) -> None:  # fmt: skip
        """Add ``passages`` and note that ``records`` of the corpus are now read, in one transaction.

        ``characters`` are how many these have, and ``read`` how many of them are in a passage. ``sources``
        are hashes of the document that each is of, None: not known; ``since`` says since when each has its
        text, None: since the build.
        """
        rows = range(self.count, self.count + len(passages))
        none = [None] * len(passages)
        self._db.execute("BEGIN")
        self._db.executemany(
            f"INSERT INTO passages VALUES ({','.join('?' * 13)})",  # noqa: S608 (only marks)
            list(map(line_of, rows, passages, sources or none, since or none)),
        )
        self._append_attributes(rows, passages)
        self._db.execute("DELETE FROM progress")
        progress = (records, skipped, characters, read)
        self._db.execute("INSERT INTO progress VALUES (?, ?, ?, ?)", progress)
        self._db.execute("COMMIT")
        self.count = rows.stop
        self.records, self.skipped, self.characters, self.read = progress

    def _append_attributes(self, rows: Iterable[int], passages: Sequence[Passage]) -> None:
        lines: list[tuple[str, Scalar, int]] = []
        held: Counter[tuple[str, Kind]] = Counter()
        for row, passage in zip(rows, passages, strict=True):
            values, kinds = attributes(passage.metadata)
            lines += [(name, value, row) for name, value in values]
            held.update(kinds)
        self._db.executemany("INSERT INTO attributes VALUES (?, ?, ?)", lines)
        self._db.executemany(
            "INSERT INTO kinds VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET passages = passages + excluded.passages",
            [(name, kind, count) for (name, kind), count in held.items()],
        )

    def finish(self) -> None:
        """Index the attributes and leave one plain file.

        A writer opened on it again, after a kill before the build took note, finds all of it done.
        """
        self._db.executescript(f"{_BY_VALUE} PRAGMA journal_mode = DELETE;")
        self._db.close()

    def finish_in_memory(self) -> sqlite3.Connection:
        """Index the attributes; what was written to ``:memory:``, which would be gone if it were closed."""
        self._db.executescript(_BY_VALUE)
        return self._db

    def close(self) -> None:
        """Close the file; a later writer goes on from the last transaction."""
        self._db.close()


class Passages:
    """Read access to finished passages; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``. Raises BundleCorrupt."""
        self._path = path
        try:
            self._read(open_plain(path))
        except sqlite3.DatabaseError as error:
            raise BundleCorrupt(path.parent, path.name, str(error)) from error

    @classmethod
    def in_memory(
        cls, passages: Sequence[Passage], sources: Sequence[bytes | None] | None = None,
        since: Sequence[float | None] | None = None,
    ) -> Passages:  # fmt: skip
        """``passages`` as a file would have them, in no file; the rest as in ``PassageWriter.append``."""
        writer = PassageWriter(":memory:")
        writer.append(passages, len(passages), 0, sources=sources, since=since)
        opened = cls.__new__(cls)
        opened._path = Path("memory")
        opened._read(writer.finish_in_memory())
        return opened

    def _read(self, db: sqlite3.Connection) -> None:
        self._db, self._lock = db, threading.Lock()
        with in_time(db):
            self.count: int = self._query("SELECT count(*) FROM passages")[0][0]
            self.filter_fields = self._filter_fields()
        # A page of results, or a user's own documents: the same filter comes again and again.
        self.matching = lru_cache(maxsize=16)(self._matching)
        self.values_of = lru_cache(maxsize=16)(self._values_of)
        columns = {name for _, name, *_ in self._query("PRAGMA table_info(passages)")}
        if "document" not in columns:
            self._db.execute(_PASSAGES_OF_2)
        self._has_sources = "source" in columns
        self._has_since = "since" in columns

    @cached_property
    def rewritten(self) -> npt.NDArray[np.float64] | None:
        """Since when each has its text, (n,), -inf: since the build; None: all have."""
        sql = "SELECT row, since FROM passages WHERE since IS NOT NULL"
        found = self._query(sql) if self._has_since else []
        if not found:
            return None
        times = np.full(self.count, -np.inf)
        rows, since = zip(*found, strict=True)
        times[list(rows)] = since
        return times

    @property
    def fields(self) -> list[str]:
        """The names of the fields that a filter may use, in order."""
        return self.filter_fields.names

    def _filter_fields(self) -> FilterFields:
        if self._query("SELECT 1 FROM sqlite_master WHERE name = 'kinds'"):
            return FilterFields(self._query("SELECT field, kind, passages FROM kinds"))
        return FilterFields(self._query(_KINDS_OF_2), form=str)

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise BundleCorrupt(self._path.parent, self._path.name, str(error)) from error

    def _among(self, sql: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The lines of ``sql``, in which ``({})`` stands for a list of ``values``, asked a part at a time."""
        for start in range(0, len(values), _VALUES_A_QUERY):
            part = values[start : start + _VALUES_A_QUERY]
            yield from self._query(sql.format(",".join("?" * len(part))), part)

    def get(self, rows: Sequence[int]) -> list[Passage]:
        """The passages at ``rows``, in that order."""
        order = [int(row) for row in rows]
        found = {row: passage_of(*columns) for row, *columns in self._among(_WHOLE, order)}
        return [found[row] for row in order]

    def contents(self, rows: Sequence[int]) -> list[str]:
        """What is encoded of the passages at ``rows``, in that order."""
        order = [int(row) for row in rows]
        sql = "SELECT row, title, section, text FROM passages WHERE row IN ({})"
        found = {
            row: content_of(title, path_of(section), text)
            for row, title, section, text in self._among(sql, order)
        }
        return [found[row] for row in order]

    def ids_after(self, after: str) -> Iterator[tuple[str, int]]:
        """Ids greater than ``after``, ascending by code points, and the row of each."""
        page = "SELECT id, row FROM passages WHERE id > ? ORDER BY id LIMIT ?"
        while found := self._query(page, (after, _IDS_A_QUERY)):
            yield from found
            after = found[-1][0]

    def sources(self, rows: Sequence[int]) -> list[bytes | None]:
        """The hash of the document of each of the passages at ``rows``, None where it is not known."""
        if not self._has_sources:
            return [None] * len(rows)
        order = [int(row) for row in rows]
        found = dict(self._among("SELECT row, source FROM passages WHERE row IN ({})", order))
        return [found[row] for row in order]

    def since(self, rows: Sequence[int]) -> list[float | None]:
        """Since when each of the passages at ``rows`` has its text, None: since the build."""
        if self.rewritten is None:
            return [None] * len(rows)
        times = self.rewritten[list(rows)].tolist()
        return [None if one == -np.inf else one for one in times]

    def documents(self, rows: Rows) -> list[str]:
        """The id of the document that each of the passages at ``rows`` (n,) is of."""
        order = rows.tolist()
        sql = "SELECT row, coalesce(document, id) FROM passages WHERE row IN ({})"
        found = dict(self._among(sql, order))
        return [found[row] for row in order]

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """The row of each of ``ids``; those that no passage has are left out."""
        return dict(self._among("SELECT id, row FROM passages WHERE id IN ({})", ids))

    def document_sizes(self) -> list[tuple[str, int]]:
        """The id of each document, and how many passages it has."""
        return self._query("SELECT coalesce(document, id), count(*) FROM passages GROUP BY 1")

    def parts(self, documents: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the passages of each of ``documents`` that was split; others are left out."""
        found: dict[str, list[str]] = {}
        for document, _, _, id_ in self.parts_of(documents):
            found.setdefault(document, []).append(id_)
        return found

    def parts_of(self, documents: Sequence[str]) -> list[tuple[str, int, int, str]]:
        """Document, start, row and id of each passage of ``documents`` that were split, in that order.

        Rows alone would not do: a compaction puts passages that were written again behind the others.
        """
        sql = (
            "SELECT document, start, row, id FROM passages WHERE document IN ({})"
            " ORDER BY document, start, row"
        )
        return [
            (document, start, row, id_) for document, start, row, id_ in self._among(sql, documents)
        ]

    def whole(self, document: str) -> list[int]:
        """The row of the passage that is all of the document with that id; none if there is no such."""
        sql = "SELECT row FROM passages WHERE id = ? AND document IS NULL"
        return [row for (row,) in self._query(sql, (document,))]

    def of_document(self, document: str) -> list[Passage]:
        """The passages of the document with that id, in the order of its text; none if there is no such."""
        parts = [row for _, _, row, _ in self.parts_of([document])]
        return self.get(parts or self.whole(document))

    def rows(self, conditions: Sequence[Condition]) -> Rows:
        """The rows, ascending, of all passages that meet every condition; all rows, if there is none.

        Raises FieldError for a field that no passage has, and for a value that cannot be compared with what
        the field holds.
        """
        if not conditions:
            return np.arange(self.count)
        return self.matching(tuple(map(self.filter_fields.resolve, conditions)))

    def _matching(self, conditions: tuple[Condition, ...]) -> Rows:
        """The rows, ascending, of all passages that meet every one of ``conditions``, resolved."""
        selects: list[str] = []
        values: list[Scalar] = []
        for condition in conditions:
            test, bound = sql_test(condition)
            selects.append(f"SELECT row FROM attributes WHERE field = ? AND {test}")  # noqa: S608 (fixed texts)
            values += [condition.field, *bound]
        with self._lock:  # straight from the cursor: a list of millions of tuples would be large
            cursor = self._db.execute(" INTERSECT ".join(selects), values)
            return np.unique(np.fromiter((row for (row,) in cursor), np.int64))

    def _values_of(self, field: str) -> FieldValues | None:
        """The values of ``field``, in the form in which names are stored; None if there are too many."""
        return field_values(self._pairs(field))

    def _pairs(self, field: str) -> Iterator[tuple[Scalar, int]]:
        sql = "SELECT value, row FROM attributes WHERE field = ? ORDER BY value, row"
        with self._lock:
            cursor = self._db.execute(sql, [field])
        while True:
            with self._lock:  # searches read in between
                found = cursor.fetchmany(_VALUES_A_QUERY)
            if not found:
                return
            yield from found

    def close(self) -> None:
        """Close the file, once whoever reads it has done so."""
        with self._lock:
            self._db.close()


_BY_VALUE = "CREATE INDEX IF NOT EXISTS by_value ON attributes(field, value, row);"

_WHOLE = """
    SELECT row, id, title, text, metadata, document, section, start, "end", anchor, url
    FROM passages WHERE row IN ({})"""

# A file of format 2 has no column about documents: each of its passages is one. The view stands before the
# table of that name.
_PASSAGES_OF_2 = """
    CREATE TEMP VIEW passages AS
    SELECT *, NULL AS document, NULL AS section, 0 AS start, -1 AS "end", NULL AS anchor, NULL AS url
    FROM main.passages"""


# Format 2 does not say what fields hold, and has texts as they came: any value is compared. A skip scan, one
# index look-up a field instead of a pass over every value.
_KINDS_OF_2 = """
    WITH RECURSIVE f(name) AS (
        SELECT min(field) FROM attributes
        UNION ALL SELECT (SELECT min(field) FROM attributes WHERE field > name) FROM f
        WHERE name IS NOT NULL)
    SELECT name, kind, 0 FROM f, (SELECT 'text' AS kind UNION SELECT 'number')
    WHERE name IS NOT NULL"""
