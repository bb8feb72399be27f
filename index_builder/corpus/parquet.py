"""Parquet files, read batch by batch."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.columns import check_columns
from lurcher.index_builder.corpus.lines import RAW
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record

# Rows held at once: few enough that passages of 1 MB fit, enough that pyarrow's calls cost little.
BATCH = 256


def read_parquet(path: Path) -> Iterator[Record]:
    """One record a row; ``line`` is the row's number. Dates and times become ISO texts.

    Raises CorpusError where pyarrow is missing or the file cannot be used.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise CorpusError(
            path, None, "Parquet needs pyarrow: pip install 'lurcher[parquet]'"
        ) from error
    number = 0
    try:
        with ParquetFile(path) as file:
            check_columns(path, None, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH):
                for row in _rows(batch):
                    number += 1
                    yield _record(path, number, row)
    except pyarrow.ArrowException as error:
        raise CorpusError(path, None, _broken(number, error)) from error
    except OSError as error:
        raise CorpusError(path, None, _broken(number, error)) from error


def _broken(rows: int, error: Exception) -> str:
    what = f"broken Parquet after row {rows}" if rows else "not a Parquet file that can be read"
    return f"{what}: {error}"


def _rows(batch: Any) -> Iterator[dict[str, Any] | BadRecord]:
    """The rows of a pyarrow record batch as Python values, or why one cannot be had."""
    try:
        yield from batch.to_pylist()
    except ValueError:  # text that is no UTF-8, or a time finer than Python's
        for at in range(batch.num_rows):
            try:
                yield from batch.slice(at, 1).to_pylist()
            except ValueError as error:
                yield BadRecord(f"a value cannot be read: {error}")


def _record(path: Path, number: int, row: dict[str, Any] | BadRecord) -> Record:
    if isinstance(row, BadRecord):
        return Record(path, number, reason=str(row))
    try:
        fields = {name: _plain(value) for name, value in row.items()}
        # A struct called metadata is what a JSON corpus has become on its way through Parquet.
        nested = fields.pop("metadata") if isinstance(fields.get("metadata"), dict) else {}
        return Record(path, number, document_of(fields, nested))
    except BadRecord as error:
        raw = json.dumps(row, default=str)[:RAW]
        return Record(path, number, reason=str(error), raw=raw)


def _plain(value: Any) -> Any:
    """The value as JSON has it, where there is one way to say it."""
    match value:
        case datetime.date() | datetime.time():
            return value.isoformat()
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
