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
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.columns import check_columns
from lurcher.index_builder.corpus.lines import RAW, Line, read_lines
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record

# Characters in one cell. The csv module's own 131,072 is less than a long document; without any
# limit, one quote that never closes would draw the rest of the file into memory.
MAX_CELL = 16 * 2**20

# Lines that one cell of a TSV file may run over; of more, memory would hold too many.
_MAX_LINES = 100_000

# How spreadsheets note the delimiter, in a line above the header.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)


def read_table(path: Path, delimiter: str, reading: ReadOptions | None = None) -> Iterator[Record]:
    """One record for each row below the header; ``line`` is the one on which the row starts.

    Cells are separated by what ``reading`` says, else by what a ``sep=`` line above the header says, else by
    ``delimiter``. Raises CorpusError where the header cannot be used.
    """
    reading = reading or ReadOptions()
    source = _Source(path, reading)
    noted = source.take_separator_line()
    delimiter = reading.separator or noted or delimiter
    source.holds = delimiter == "\t"
    rows = csv.reader(source, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        start = source.begin_record()
        try:
            if header is None or delimiter != "\t":
                row = _next_row(rows)
            else:
                row = _next_tabbed_row(rows, source, len(header))
            if row is None:
                return
            if source.fault:
                raise BadRecord(source.fault)
            if len(row) <= 1 and not "".join(row).strip():
                continue
            if header is None:
                check_columns(path, start, row, reading.fields)
                header = row
                continue
            if len(row) != len(header):
                raise BadRecord(_count(row, len(header)))
            fields, displaced = reading.fields.rename(dict(zip(header, row, strict=True)))
            document = document_of(fields, displaced)
        except BadRecord as error:
            # A quote that never closes takes rows with it; say how far.
            end = f"; the row ends on line {source.line}" if source.line > start else ""
            if header is None:
                raise CorpusError(path, start, f"the header row: {error}{end}") from None
            yield Record(path, start, reason=f"{error}{end}", raw=source.raw.rstrip("\r\n"))
        else:
            yield Record(path, start, document)


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
