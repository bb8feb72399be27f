"""Tables by query: CSV and Parquet hold the same, and what cannot be written is said before any work."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from lurcher.errors import FieldError, LurcherError
from lurcher.evaluation.tables import Row, check_table, write_table

ROWS: list[Row] = [
    {"query_id": "q1", "query": 'a, "quoted"\nquery', "target": "docs", "nDCG@10": 0.25},
    {"query_id": "2", "query": "Gruß", "target": "docs", "nDCG@10": None},
]


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ROWS)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["query"] for row in read] == [row["query"] for row in ROWS]
    assert [row["nDCG@10"] for row in read] == ["0.25", ""]
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    write_table(tmp_path / "t.parquet", ROWS)
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == ROWS


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("t.txt", FieldError, r"t\.txt: must end in \.csv or \.parquet"),
        ("no/t.csv", FileNotFoundError, "No such file"),
        ("folder.csv", IsADirectoryError, "directory"),
    ],
)
def test_what_cannot_be_written_is_said_before(
    tmp_path: Path, path: str, kind: type[Exception], says: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(kind, match=says):
        check_table(tmp_path / path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LurcherError, match=r"pip install 'lurcher\[parquet\]'"):
        check_table(tmp_path / "t.parquet")


def test_a_table_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_table(path, [*ROWS, {"other": 1.0}])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
