from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.parquet import BATCH, read_parquet


def read(folder: Path, columns: dict[str, Any]) -> list[Record]:
    path = folder / "corpus.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return list(read_parquet(path))


def test_rows_over_several_batches(tmp_path: Path) -> None:
    count = 2 * BATCH + 3
    found = read(
        tmp_path,
        {
            "id": list(range(count)),
            "title": [None, *["t"] * (count - 1)],
            "text": [f"text {n}" for n in range(count)],
        },
    )
    assert [record.line for record in found] == list(range(1, count + 1))
    assert found[0].document == Document("0", "text 0")
    assert found[-1].document == Document(f"{count - 1}", f"text {count - 1}", "t")


def test_metadata_of_every_kind(tmp_path: Path) -> None:
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    (record,) = read(
        tmp_path,
        {
            "_id": ["a"],
            "text": ["t"],
            "metadata": [{"nested": True}],
            "day": [moment.date()],
            "moment": pyarrow.array([moment], pyarrow.timestamp("us", "UTC")),
            "hour": [moment.time()],
            "tags": [["x", None]],
            "inner": [{"days": [moment.date()]}],
            "pairs": pyarrow.array([[("k", 1)]], pyarrow.map_("string", "int64")),
            "none": pyarrow.nulls(1),
        },
    )
    assert record.document is not None
    assert record.document.metadata == {
        "day": "2020-01-02",
        "moment": "2020-01-02T03:04:05+00:00",
        "hour": "03:04:05",
        "tags": ["x", None],
        "inner": {"days": ["2020-01-02"]},
        "pairs": [["k", 1]],
        "none": None,
        "nested": True,
    }


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([1.0, float("nan"), 2.0], "metadata 'm' holds nan, which is not valid JSON"),
        ([None, b"\xff", None], "metadata 'm' is of type bytes, which JSON cannot hold"),
        (
            pyarrow.array([1000, 1001, 2000], pyarrow.timestamp("ns")),
            "a value cannot be read: Nanosecond resolution",
        ),
    ],
    ids=["nan", "bytes", "nanoseconds"],
)
def test_a_bad_value(tmp_path: Path, column: Any, reason: str) -> None:
    first, bad, last = read(tmp_path, {"id": [1, 2, 3], "text": ["a", "b", "c"], "m": column})
    assert (bad.file, bad.line, bad.document) == (tmp_path / "corpus.parquet", 2, None)
    assert bad.reason is not None
    assert bad.reason.startswith(reason)
    assert first.document is not None
    assert last.document is not None
    assert (first.document.text, last.document.text, last.line) == ("a", "c", 3)


def test_a_text_that_is_no_utf8(tmp_path: Path) -> None:
    texts = pyarrow.array([b"a", b"\xff", b"c"], pyarrow.binary()).view(pyarrow.string())
    first, bad, last = read(tmp_path, {"id": [1, 2, 3], "text": texts})
    assert bad.line == 2
    assert bad.reason is not None
    assert bad.reason.startswith("a value cannot be read: 'utf-8' codec can't decode byte 0xff")
    assert first.document == Document("1", "a")
    assert last.document == Document("3", "c")


def test_a_missing_text_shows_the_row(tmp_path: Path) -> None:
    (record,) = read(tmp_path, {"id": ["a"], "text": pyarrow.array([None], pyarrow.string())})
    assert record.reason == "text is null; it must be a string"
    assert record.raw == '{"id": "a", "text": null}'


def test_a_file_without_rows_has_no_records(tmp_path: Path) -> None:
    nothing = pyarrow.array([], pyarrow.string())
    assert read(tmp_path, {"id": nothing, "text": nothing}) == []


def test_columns_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, {"id": ["a"], "body": ["b"]})
    assert (caught.value.file, caught.value.line) == (tmp_path / "corpus.parquet", None)
    assert caught.value.reason == "no column is called 'text'; there are: 'id', 'body'"


def test_a_file_that_is_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    path.write_bytes(b"no such thing at all")
    with pytest.raises(CorpusError) as caught:
        list(read_parquet(path))
    assert (caught.value.file, caught.value.line) == (path, None)
    assert caught.value.reason.startswith("not a Parquet file that can be read: ")


def test_a_file_that_breaks_off_inside(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    table = pyarrow.table({"id": range(1000), "text": ["word"] * 1000})
    pyarrow.parquet.write_table(table, path, row_group_size=500, use_dictionary=False)
    content = bytearray(path.read_bytes())
    # The second row group starts behind the first one's pages; its first page header is spoilt.
    group = pyarrow.parquet.ParquetFile(path).metadata.row_group(1)
    at = group.column(0).data_page_offset
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)
    with pytest.raises(CorpusError) as caught:
        list(read_parquet(path))
    assert caught.value.reason.startswith("broken Parquet after row ")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CorpusError) as caught:
        list(read_parquet(tmp_path / "corpus.parquet"))
    assert caught.value.reason == "Parquet needs pyarrow: pip install 'lurcher[parquet]'"
