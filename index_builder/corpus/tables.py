"""CSV and TSV files: a header row, then one record a row.

Both kinds quote as spreadsheets and pandas do: a cell in double quotes may hold delimiters, line
ends and doubled quotes. A row that breaks these rules is bad; it is never guessed at.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.columns import check_columns
from lurcher.index_builder.corpus.lines import RAW, read_lines
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record

# Characters in one cell. The csv module's own 131,072 is less than a long document; without any
# limit, one quote that never closes would draw the rest of the file into memory.
MAX_CELL = 16 * 2**20


def read_table(path: Path, delimiter: str) -> Iterator[Record]:
    """One record for each row below the header; ``line`` is the one on which the row starts.

    Raises CorpusError where the header cannot be used.
    """
    source = _Source(path)
    rows = csv.reader(source, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        start = source.begin_record()
        try:
            row = _next_row(rows)
            if row is None:
                return
            if source.fault:
                raise BadRecord(source.fault)
            if len(row) <= 1 and not "".join(row).strip():
                continue
            if header is None:
                check_columns(path, start, row)
                header = row
                continue
            if len(row) != len(header):
                raise BadRecord(f"{len(row)} cells where the header has {len(header)}")
            document = document_of(dict(zip(header, row, strict=True)), {})
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

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path)
        self.line = 0
        self.raw = ""
        self.fault: str | None = None

    def begin_record(self) -> int:
        """Forget the last record; the number of the line that comes next."""
        self.raw, self.fault = "", None
        return self.line + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.line = line.number
        if len(self.raw) < RAW:
            self.raw = f"{self.raw}{line.text}"[:RAW]
        if line.fault and self.fault is None:
            self.fault = line.fault
        # Half a line could open a quote that the other half closes.
        return line.text if line.whole else "\n"


def _next_row(rows: Iterator[list[str]]) -> list[str] | None:
    # The limit belongs to the whole process: it is ours only while a row is parsed.
    before = csv.field_size_limit(MAX_CELL)
    try:
        return next(rows, None)
    except csv.Error as error:
        raise BadRecord(f"not a valid row: {error}") from None
    finally:
        csv.field_size_limit(before)
