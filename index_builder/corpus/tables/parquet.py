"""Parquet files, read batch by batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.encoding.lines import RAW
from lurcher.index_builder.corpus.options import FieldNames, ReadOptions, merged
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.columns import check_columns

# Rows held at once: few enough that passages of 1 MB fit, enough that pyarrow's calls cost little.
BATCH = 256

# What pyarrow raises for values that Python cannot hold: text that is no UTF-8, years beyond 9999,
# nanoseconds, time zones that nobody knows.
_UNREAD = (ValueError, OverflowError, LookupError)

_Converter = Callable[[Any], Any]


def read_parquet(path: Path, reading: ReadOptions | None = None) -> Iterator[Record]:
    """One record a row; ``line`` is the row's number.

    Dates and times become ISO texts; decimals numbers, and floats of 32 or 16 bits the shortest number that
    means them: what is 0.1 in the file is 0.1 in a filter. Raises CorpusError where pyarrow is missing or the
    file cannot be used.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise CorpusError(
            path, None, "Parquet needs pyarrow: pip install 'lurcher[parquet]'"
        ) from error
    names = reading.fields if reading else FieldNames()
    number = 0
    try:
        with ParquetFile(path) as file:
            check_columns(path, None, file.schema_arrow.names, names)
            plain = {field.name: _converter(field.type) for field in file.schema_arrow}
            for batch in file.iter_batches(batch_size=BATCH):
                for row in _rows(batch):
                    number += 1
                    yield _record(path, number, row, plain, names)
    except (pyarrow.ArrowException, OSError, *_UNREAD) as error:
        raise CorpusError(path, None, _broken(number, error)) from error


def _broken(rows: int, error: Exception) -> str:
    what = f"broken Parquet after row {rows}" if rows else "not a Parquet file that can be read"
    return f"{what}: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _rows(batch: Any) -> Iterator[dict[str, Any] | BadRecord]:
    """The rows of a pyarrow record batch as Python values, or why one cannot be had."""
    try:
        yield from batch.to_pylist()
    except _UNREAD:
        for at in range(batch.num_rows):
            try:
                yield from batch.slice(at, 1).to_pylist()
            except _UNREAD as error:
                yield BadRecord(f"a value cannot be read: {_one_line(error)}")


def _record(
    path: Path,
    number: int,
    row: dict[str, Any] | BadRecord,
    plain: dict[str, _Converter],
    names: FieldNames,
) -> Record:
    if isinstance(row, BadRecord):
        return Record(path, number, reason=str(row))
    try:
        fields, displaced = names.rename(
            {name: None if value is None else plain[name](value) for name, value in row.items()}
        )
        # A struct called metadata is what a JSON corpus has become on its way through Parquet.
        nested = fields.pop("metadata") if isinstance(fields.get("metadata"), dict) else {}
        return Record(path, number, document_of(fields, merged(displaced, nested)))
    except BadRecord as error:
        raw = json.dumps(row, default=str)[:RAW]
        return Record(path, number, reason=str(error), raw=raw)


def _converter(kind: Any) -> _Converter:
    """What turns a Python value of this pyarrow type into what JSON has, where there is one way to say it."""
    from pyarrow import types

    if types.is_float32(kind) or types.is_float16(kind):
        # str() of NumPy's own type is the shortest that means this float and no other of its kind.
        number = np.float32 if types.is_float32(kind) else np.float16
        return lambda value: float(str(number(value)))
    if types.is_decimal(kind):
        return _number
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind):
        return lambda value: value.isoformat()
    if types.is_struct(kind):
        inner = {field.name: _converter(field.type) for field in kind}
        return lambda value: {
            name: None if item is None else inner[name](item) for name, item in value.items()
        }
    if types.is_map(kind):
        key, item = _converter(kind.key_type), _converter(kind.item_type)
        return lambda value: [[key(k), None if v is None else item(v)] for k, v in value]
    if types.is_dictionary(kind):
        return _converter(kind.value_type)
    if _is_list(kind):
        one = _converter(kind.value_type)
        return lambda value: [None if item is None else one(item) for item in value]
    return lambda value: value


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _number(value: Decimal) -> int | float:
    """An integer if the decimal is of a kind without a fraction, else the nearest float."""
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)
