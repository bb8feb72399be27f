"""CSV and TSV files: a header row, then one record a row.

Both kinds quote as spreadsheets and pandas do: a cell in double quotes may hold delimiters, line ends and
doubled quotes. A row that breaks these rules is bad; it is never guessed at. Many programs write tabs and
quote nothing, so where tabs separate cells, lines are taken as they stand if they break the rules, or if
a quote would draw several of them into one row; each needs as many cells as the header for that.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.encoding.lines import RAW, Line, read_lines
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.cell_types import CellType, TypeFinder, convert
from lurcher.index_builder.corpus.tables.columns import check_columns, check_typed

# Characters in one cell. The csv module's own 131,072 is less than a long document; without any
# limit, one quote that never closes would draw the rest of the file into memory.
MAX_CELL = 16 * 2**20

# Lines that one cell of a TSV file may run over; of more, memory would hold too many.
_MAX_LINES = 100_000

# How spreadsheets note the delimiter, in a line above the header.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it stands in the file: its cells, or the reason why it has none."""

    line: int
    raw: str
    cells: list[str] = field(default_factory=list)
    reason: str | None = None
    # A quote that never closes takes rows with it; this says how far.
    reach: str = ""


def read_table(path: Path, delimiter: str, reading: ReadOptions | None = None) -> Iterator[Record]:
    """One record for each row below the header; ``line`` is the one on which the row starts.

    Cells are separated by what ``reading`` says, else by what a ``sep=`` line above the header says, else by
    ``delimiter``. The file is read twice, first for the types of its columns. Raises CorpusError where the
    header cannot be used.
    """
    reading = reading or ReadOptions()
    rows = _rows(path, delimiter, reading)
    header = next(rows, None)
    if header is None:
        return
    names = header.cells
    check_columns(path, header.line, names, reading.fields)
    check_typed(path, header.line, names, reading.fields, reading.types)
    types = _types(path, delimiter, reading, names)
    for row in rows:
        try:
            if row.reason:
                raise BadRecord(row.reason)
            cells = convert(dict(zip(names, row.cells, strict=True)), types, reading.types)
            document = document_of(*reading.fields.rename(cells))
        except BadRecord as error:
            yield Record(path, row.line, reason=f"{error}{row.reach}", raw=row.raw)
        else:
            yield Record(path, row.line, document)


def _types(
    path: Path, delimiter: str, reading: ReadOptions, names: list[str]
) -> dict[str, CellType]:
    """The type of each column of metadata, by all rows that have as many cells as the header."""
    metadata = [name for name in names if name not in reading.fields.own()]
    finder = TypeFinder(name for name in metadata if name not in reading.types)
    if not finder.decided:
        for row in islice(_rows(path, delimiter, reading), 1, None):
            if row.reason is None:
                finder.add(dict(zip(names, row.cells, strict=True)))
            if finder.decided:
                break
    return finder.types() | dict(reading.types)


def _rows(path: Path, delimiter: str, reading: ReadOptions) -> Iterator[_Row]:
    """The header, then the rows below it, each with as many cells or a reason; nothing of an empty file.

    Raises CorpusError for a header that is no row.
    """
    source = _Source(path, reading)
    noted = source.take_separator_line()
    delimiter = reading.separator or noted or delimiter
    source.holds = delimiter == "\t"
    rows = csv.reader(source, delimiter=delimiter, strict=True)
    cells: int | None = None
    while True:
        start = source.begin_record()
        try:
            if cells is None or delimiter != "\t":
                row = _next_row(rows)
            else:
                row = _next_tabbed_row(rows, source, cells)
            if row is None:
                return
            if source.fault:
                raise BadRecord(source.fault)
            if len(row) <= 1 and not "".join(row).strip():
                continue
            if cells is None:
                cells = len(row)
            if len(row) != cells:
                raise BadRecord(_count(row, cells))
        except BadRecord as error:
            reach = source.reach(start)
            if cells is None:
                raise CorpusError(path, start, f"the header row: {error}{reach}") from None
            yield _Row(start, source.shown, reason=str(error), reach=reach)
        else:
            yield _Row(start, source.shown, row, reach=source.reach(start))


class _Source:
    """The file's lines for the csv reader, with what is known of those of the current record."""

    def __init__(self, path: Path, reading: ReadOptions) -> None:
        self._lines = read_lines(path, encoding=reading.coding)
        self._returned: deque[Line] = deque()
        self.holds = False  # ``taken`` keeps the record's lines, so that they can come again
        self._alone_before = 0  # records that start on a line before this one may not run over it
        self.taken: list[Line] = []
        self.line = 0
        self.raw = ""
        self.fault: str | None = None

    def take_separator_line(self) -> str | None:
        """The delimiter that the file's first line notes, and that line is passed over; else None."""
        first = next(self._lines, None)
        noted = _SEPARATOR_LINE.fullmatch(first.text) if first else None
        if noted:
            self.line = 1
            return noted[1]
        if first:
            self._returned.append(first)
        return None

    def begin_record(self) -> int:
        """Forget the last record; the number of the line that comes next."""
        self.taken, self.raw, self.fault = [], "", None
        return self.line + 1

    def keep_first_line(self) -> None:
        """Let the record be its first line alone; the others come again."""
        first, *others = self.taken
        # What ended this record may well begin another, but those in between would only meet the same end:
        # trying each of them would take time with the square of the lines.
        self._alone_before = max(self._alone_before, self.line)
        self._returned.extendleft(reversed(others))
        self.begin_record()
        self._take(first)

    @property
    def shown(self) -> str:
        """The record's text, cut, without its line end."""
        return self.raw.rstrip("\r\n")

    def reach(self, start: int) -> str:
        """How far the record goes that began on line ``start``; empty if no further."""
        return f"; the row ends on line {self.line}" if self.line > start else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.taken and self._is_full():
            raise BadRecord("a quote opens and does not close")
        line = self._returned.popleft() if self._returned else next(self._lines)
        self._take(line)
        # Half a line could open a quote that the other half closes.
        return line.text if line.whole else "\n"

    def _is_full(self) -> bool:
        return self.taken[0].number < self._alone_before or len(self.taken) >= _MAX_LINES

    def _take(self, line: Line) -> None:
        if self.holds:
            self.taken.append(line)
        self.line = line.number
        if len(self.raw) < RAW:
            self.raw = f"{self.raw}{line.text}"[:RAW]
        if line.fault and self.fault is None:
            self.fault = line.fault


def _next_tabbed_row(rows: Iterator[list[str]], source: _Source, cells: int) -> list[str] | None:
    """The next row's cells, quoted or not; None at the end. Raises BadRecord."""
    try:
        row, broken = _next_row(rows), None
    except BadRecord as error:
        row, broken = None, error
    if row is None and broken is None:
        return None
    lines = [line.text.rstrip("\r\n").split("\t") for line in source.taken]
    good = [len(line) == cells for line in lines]
    if row is not None and len(row) == cells and (len(lines) == 1 or not all(good)):
        return row
    if good[0]:
        source.keep_first_line()
        return lines[0]
    if any(good[1:2]):
        # The quote that the first line opens is no reason to lose the next.
        source.keep_first_line()
        raise BadRecord(_count(lines[0], cells))
    if broken:
        raise broken
    return row


def _count(row: list[str], cells: int) -> str:
    return f"{len(row)} cells where the header has {cells}"


def _next_row(rows: Iterator[list[str]]) -> list[str] | None:
    # The limit belongs to the whole process: it is ours only while a row is parsed.
    before = csv.field_size_limit(MAX_CELL)
    try:
        return next(rows, None)
    except csv.Error as error:
        raise BadRecord(f"not a valid row: {error}") from None
    finally:
        csv.field_size_limit(before)
