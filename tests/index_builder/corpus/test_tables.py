from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.encoding.lines import MAX_BYTES
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.delimited import MAX_CELL, read_table

# The csv writer does not quote a cell for a bare carriage return, so it cannot be read back.
CELL = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=20)


def read(
    folder: Path, content: bytes, delimiter: str = ",", reading: ReadOptions | None = None
) -> list[Record]:
    path = folder / "corpus.csv"
    path.write_bytes(content)
    return list(read_table(path, delimiter, reading))


@given(
    st.lists(st.tuples(CELL.filter(str.strip), CELL, CELL, CELL), max_size=4),
    st.sampled_from([",", "\t"]),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, str]],
    delimiter: str,
    zipped: bool,
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("_id", "title", "text", "year"), *rows])
    content = gzip.compress(out.getvalue().encode()) if zipped else out.getvalue().encode()
    reading = ReadOptions(types={"year": "text"})
    found = read(tmp_path_factory.mktemp("csv"), content, delimiter, reading)
    assert [record.document for record in found] == [
        Document(id_, text, title, {"year": year or None}) for id_, title, text, year in rows
    ]


def test_a_record_is_counted_by_the_line_on_which_it_starts(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\nid,text\r\n\r\n1,"two\nlines"\r\n2,one\r\n'
    found = read(tmp_path, content)
    assert [(record.line, record.document) for record in found] == [
        (4, Document("1", "two\nlines")),
        (6, Document("2", "one")),
    ]


def test_a_column_called_metadata_is_a_string_like_any_other(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b'id,text,metadata\n1,t,"{""a"": 1}"\n')
    assert record.document == Document("1", "t", "", {"metadata": '{"a": 1}'})


@pytest.mark.parametrize(
    ("row", "reason", "raw"),
    [
        (b"1\n", "1 cells where the header has 2", "1"),
        (b"1,a,b\n", "3 cells where the header has 2", "1,a,b"),
        (b",a\n", "id is empty", ",a"),
        (b'1,"a"b\n', "not a valid row: ',' expected after '\"'", '1,"a"b'),
        (b"1,a\rb\n", "not a valid row: new-line character seen in unquoted field", "1,a\rb"),
        (b"1,\xe9\n", "not valid UTF-8 at byte 2 of the line", "1,\\xe9"),
        (
            b'1,"a\n\xe9"\n',
            "not valid UTF-8 at byte 0 of the line; if it has another encoding, give --encoding; "
            "the row ends on line 4",
            '1,"a\n\\xe9"',
        ),
    ],
)
def test_a_bad_row(tmp_path: Path, row: bytes, reason: str, raw: str) -> None:
    first, bad, last = read(tmp_path, b"id,text\n0,x\n" + row + b"9,y\n")
    assert (first.document, last.document) == (Document("0", "x"), Document("9", "y"))
    assert (bad.file, bad.line, bad.document) == (tmp_path / "corpus.csv", 3, None)
    assert bad.reason is not None
    assert bad.reason.startswith(reason)
    assert bad.raw == raw


def test_a_quote_that_never_closes_says_how_far_it_reaches(tmp_path: Path) -> None:
    _, bad = read(tmp_path, b'id,text\n0,x\n1,"a\n2,b\n')
    assert (bad.line, bad.reason) == (
        3,
        "not a valid row: unexpected end of data; the row ends on line 4",
    )


def test_a_cell_of_a_megabyte_and_one_too_long(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = csv.field_size_limit()
    csv.field_size_limit(1000)
    request.addfinalizer(lambda: csv.field_size_limit(before))
    long = b"x" * 2**20
    content = b"id,text\n1," + long + b"\n2," + b"y" * (MAX_CELL + 1) + b"\n3,z\n"
    good, bad, last = read(tmp_path, content)
    assert good.document == Document("1", long.decode())
    assert bad.reason == f"not a valid row: field larger than field limit ({MAX_CELL})"
    assert (last.line, last.document) == (4, Document("3", "z"))
    assert csv.field_size_limit() == 1000


def test_a_line_too_long_to_hold(tmp_path: Path) -> None:
    head = b'id,text\n1,"a'
    bad, last = read(tmp_path, head + b"x" * MAX_BYTES + b'"\n2,b\n')
    assert (bad.line, bad.reason) == (2, "line has 67,108,864 bytes or more")
    assert (len(bad.raw), bad.raw[:5]) == (1000, '1,"ax')
    assert (last.line, last.document) == (3, Document("2", "b"))


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"text,title\n", 1, "no column is called 'id' or '_id'; there are: 'text', 'title'"),
        (b"\nid,body\n", 2, "no column is called 'text'; there are: 'id', 'body'"),
        (b"id,text,id\n", 1, "two columns have the same name; there are: 'id', 'text', 'id'"),
        (b"id,t\xe9xt\n", 1, "the header row: not valid UTF-8 at byte 4 of the line"),
        (b'id,"text\n1,a\n', 1, "the header row: not a valid row: unexpected end of data; the row"),
    ],
)
def test_a_header_that_cannot_be_used(
    tmp_path: Path, content: bytes, line: int, reason: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, content)
    assert (caught.value.file, caught.value.line) == (tmp_path / "corpus.csv", line)
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"id,text\n"])
def test_a_file_without_rows_has_no_records(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == []


@given(st.binary(max_size=60))
def test_no_row_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for record in read(tmp_path_factory.mktemp("csv"), b"id,text\n" + content):
        assert (record.document is None) != (record.reason is None)
