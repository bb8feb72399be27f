"""Tables of figures by query, for whoever goes on with them in pandas, Polars or a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lurcher.errors import FieldError, LurcherError
from lurcher.evaluation.files import check_writable, whole_file

Row = Mapping[str, str | float | None]

_KINDS = (".csv", ".parquet")


def check_table(path: Path, field: str = "per_query") -> None:
    """Raise LurcherError or OSError where no table can be written to ``path``: before any work."""
    if path.suffix not in _KINDS:
        raise FieldError(field, f"{path.name}: must end in {' or '.join(_KINDS)}")
    check_writable(path)
    if path.suffix == ".parquet":
        _parquet()


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows``, which all have the same columns, as CSV (UTF-8) or Parquet, by how ``path`` ends."""
    check_table(path)
    columns = list(rows[0]) if rows else []
    with whole_file(path) as partial:
        if path.suffix == ".parquet":
            arrow, parquet = _parquet()
            table = arrow.table({name: [row[name] for row in rows] for name in columns})
            parquet.write_table(table, partial)
            return
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise LurcherError(
            f"this needs the package {error.name}: pip install 'lurcher[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
