from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus import Record, read_corpus


def read(folder: Path, values: Any, kind: Any) -> list[Record]:
    path = folder / "numbers.parquet"
    columns = {"id": [str(n) for n in range(len(values))], "text": ["t"] * len(values)}
    table = pyarrow.table(columns | {"m": pyarrow.array(values, kind)})
    pyarrow.parquet.write_table(table, path)
    return list(read_corpus(path))


def numbers(records: list[Record]) -> list[Any]:
    assert not [record.reason for record in records if record.reason]
    return [record.document.metadata["m"] for record in records if record.document]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0.1, 2.5, None], pyarrow.float32(), [0.1, 2.5, None]),
        ([np.float16(0.1)], pyarrow.float16(), [0.1]),
        ([1.1, 1e300], pyarrow.float64(), [1.1, 1e300]),
        ([Decimal("1.50"), Decimal("20.00")], pyarrow.decimal128(4, 2), [1.5, 20.0]),
        ([Decimal("12345678901234567890")], pyarrow.decimal128(20, 0), [12345678901234567890]),
        ([Decimal("0.1")], pyarrow.decimal256(40, 20), [0.1]),
        ([[0.1, None]], pyarrow.list_(pyarrow.float32()), [[0.1, None]]),
        ([[0.1]], pyarrow.list_(pyarrow.float32(), 1), [[0.1]]),
        ([{"a": 0.1, "b": None}],
         pyarrow.struct([("a", pyarrow.float32()), ("b", pyarrow.float32())]), [{"a": 0.1, "b": None}]),
        ([[("k", Decimal("0.1"))]],
         pyarrow.map_(pyarrow.string(), pyarrow.decimal128(3, 1)), [[["k", 0.1]]]),
    ],
)  # fmt: skip
def test_numbers_are_what_was_written(
    tmp_path: Path, values: Any, kind: Any, expected: list[Any]
) -> None:
    found = numbers(read(tmp_path, values, kind))
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_of_32_bits_stay_the_same_float(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    found = numbers(read(tmp_path_factory.getbasetemp(), values, pyarrow.float32()))
    assert np.array_equal(np.array(found, np.float32), np.array(values, np.float32))
    # Nine digits tell each of them from every other.
    assert all(len(Decimal(repr(v)).normalize().as_tuple().digits) <= 9 for v in found)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 2**31 - 1, 0], pyarrow.date32()),
        ([0, 2**60, 0], pyarrow.timestamp("ms")),
        ([0, 1001, 0], pyarrow.timestamp("ns", "UTC")),
    ],
)
def test_a_time_that_python_cannot_hold_spoils_one_row(
    tmp_path: Path, values: list[int], kind: Any
) -> None:
    first, bad, last = read(tmp_path, values, kind)
    assert first.document is not None
    assert last.document is not None
    assert bad.line == 2
    assert bad.reason is not None
    assert bad.reason.startswith("a value cannot be read: ")
