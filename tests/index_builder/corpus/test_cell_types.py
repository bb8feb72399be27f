"""Columns of a table have the type of all their cells, or the one that the caller says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Condition, Passage
from lurcher.errors import CorpusError, FieldError
from lurcher.index_builder.corpus import FieldNames, ReadOptions, read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.passage import BadRecord
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.cell_types import TypeFinder, convert, parse_types
from tests.bundle.written import written

BIG = "9223372036854775808"  # one more than 64 bits hold


def read(path: Path, rows: list[str], **reading: Any) -> list[Record]:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return list(read_corpus(path, reading=ReadOptions(**reading)))


def column(cells: list[str]) -> tuple[str, list[Any]]:
    """The type of a column of ``cells``, and what becomes of them."""
    finder = TypeFinder(["c"])
    for cell in cells:
        finder.add({"c": cell})
    types = finder.types()
    return types["c"], [convert({"c": cell}, types, ())["c"] for cell in cells]


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1999", "-3", "0"], "integer", [1999, -3, 0]),
        (["1", "", "3"], "integer", [1, None, 3]),
        (["9223372036854775807", "-9223372036854775808"], "integer", [2**63 - 1, -(2**63)]),
        (["5.50", "12", "-0", "1e3"], "float", [5.5, 12.0, -0.0, 1000.0]),
        (["1.5", "9007199254740992"], "float", [1.5, 2.0**53]),
        (["true", "False", "", "TRUE"], "boolean", [True, False, None, True]),
        (["1", BIG], "text", ["1", BIG]),
        (["1.5", BIG], "text", ["1.5", BIG]),  # a float would change it
        (["01234", "90210"], "text", ["01234", "90210"]),
        (["007", "7", "x"], "text", ["007", "7", "x"]),
        (["1", "N/A"], "text", ["1", "N/A"]),
        (["1", "true"], "text", ["1", "true"]),
        (["1", " 2"], "text", ["1", " 2"]),
        (["+5"], "text", ["+5"]),
        (["1,5"], "text", ["1,5"]),
        ([".5", "5."], "text", [".5", "5."]),
        (["1e999"], "text", ["1e999"]),
        (["nan"], "text", ["nan"]),
        (["inf"], "text", ["inf"]),
        (["1_000"], "text", ["1_000"]),
        (["٣"], "text", ["٣"]),
        (["2021-05-01"], "text", ["2021-05-01"]),
        (["", ""], "text", [None, None]),
    ],
)
def test_a_column_is_what_all_of_its_cells_are(
    cells: list[str], kind: str, values: list[Any]
) -> None:
    found = column(cells)
    assert found == (kind, values)
    assert list(map(type, found[1])) == list(map(type, values))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_are_read_as_written(numbers: list[int]) -> None:
    assert column([str(number) for number in numbers]) == ("integer", numbers)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_are_read_as_written(numbers: list[float]) -> None:
    assert column([repr(number) for number in numbers]) == ("float", numbers)


@given(
    st.lists(st.sampled_from(["1", "2.5", "", "true", "x", BIG, "007"]), max_size=6), st.randoms()
)
def test_the_order_of_rows_does_not_count(cells: list[str], random: Any) -> None:
    kind, _ = column(cells)
    random.shuffle(cells)
    assert column(cells)[0] == kind


def test_what_a_filter_finds_of_numbers(tmp_path: Path) -> None:
    rows = ["id,text,year,price,code,new", "1,an old hat,1987,4.50,003,false", "2,a new hat,2019,11,3,true",
            "3,a hat,,,y,"]  # fmt: skip
    documents = [record.document for record in read(tmp_path / "hats.csv", rows) if record.document]
    passages = [Passage(one.id, one.text, metadata=one.metadata) for one in documents]
    assert passages[2].metadata == {"year": None, "price": None, "code": "y", "new": None}
    with written(passages) as opened:

        def found(field: str, op: Any, *value: Any) -> list[str]:
            rows = opened.rows([Condition(field, op, value)])
            return [passage.id for passage in opened.get(rows.tolist())]

        assert found("year", "in", 2019) == ["2"]
        assert found("year", "range", None, 2000, None, None) == ["2"]
        assert found("price", "range", None, None, 10, None) == ["1"]
        assert found("new", "in", False) == ["1"]
        assert found("code", "in", "003") == ["1"]
        with pytest.raises(
            FieldError, match='year: "2019" is a text, but this field holds numbers'
        ):
            found("year", "in", "2019")
        with pytest.raises(FieldError, match="code: 3 is a number, but this field holds texts"):
            found("code", "in", 3)


def test_one_cell_far_down_decides_for_the_whole_column(tmp_path: Path) -> None:
    rows = ["id,text,n,m", *(f"{i},t,{i},{i}" for i in range(2_000)), "last,t,n/a,2000"]
    metadata = [r.document.metadata for r in read(tmp_path / "c.csv", rows) if r.document]
    assert metadata[0] == {"n": "0", "m": 0}
    assert metadata[-1] == {"n": "n/a", "m": 2000}


def test_id_text_and_title_are_never_typed(tmp_path: Path) -> None:
    rows = ["id,title,text,text_en", "1,2,3,4", "2,,,"]
    first, second = read(tmp_path / "c.csv", rows)
    assert first.document == Document("1", "3", "2", {"text_en": 4})
    assert second.document == Document("2", "", "", {"text_en": None})
    # What has such a name but is metadata has a type.
    first, _ = read(tmp_path / "c.csv", rows, fields=FieldNames(text="text_en"))
    assert first.document == Document("1", "4", "2", {"text": 3})


def test_bad_rows_decide_nothing(tmp_path: Path) -> None:
    good, bad, _ = read(tmp_path / "c.csv", ["id,text,n", "1,t,5", "2,t,x,y", "3,t,6"])
    assert good.document == Document("1", "t", "", {"n": 5})
    assert bad.reason == "4 cells where the header has 3"


def test_the_caller_says_the_type(tmp_path: Path) -> None:
    rows = ["id,text,year,zip,x", "1,t,2021,01234,+.5"]
    (record,) = read(
        tmp_path / "c.csv", rows, types=parse_types(["year=text,zip=integer", "x=float"])
    )
    assert record.document == Document("1", "t", "", {"year": "2021", "zip": 1234, "x": 0.5})


def test_a_cell_that_is_not_of_its_type_is_a_bad_record(tmp_path: Path) -> None:
    rows = ["id,text,year", "1,t,2021", "2,t,N/A", "3,t,"]
    first, bad, last = read(tmp_path / "c.csv", rows, types={"year": "integer"})
    assert first.document == Document("1", "t", "", {"year": 2021})
    assert (bad.line, bad.reason, bad.raw) == (
        3, "column 'year' has 'N/A', not an integer of 64 bits", "2,t,N/A",
    )  # fmt: skip
    assert last.document == Document("3", "t", "", {"year": None})


@pytest.mark.parametrize(
    ("kind", "cell", "is_not"),
    [
        ("integer", BIG, "an integer of 64 bits"),
        ("integer", "1.0", "an integer of 64 bits"),
        ("integer", "9" * 5_000, "an integer of 64 bits"),
        ("float", "1e999", "a finite number"),
        ("float", "nan", "a finite number"),
        ("boolean", "yes", "true or false"),
    ],
)
def test_what_a_type_cannot_hold(tmp_path: Path, kind: str, cell: str, is_not: str) -> None:
    (record,) = read(tmp_path / "c.csv", ["id,text,c", f"1,t,{cell}"], types={"c": kind})
    assert record.reason is not None
    assert record.reason.startswith("column 'c' has '")
    assert record.reason.endswith(f", not {is_not}")


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        ({"yaer": "text"}, "no column is called 'yaer', to have a type; there are: 'id', 'text', 'year'"),
        ({"id": "integer"}, "column 'id' is not metadata, which alone has types"),
    ],
)  # fmt: skip
def test_types_of_columns_that_have_none(
    tmp_path: Path, types: dict[str, str], reason: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path / "c.csv", ["id,text,year", "1,t,5"], types=types)
    assert (caught.value.line, caught.value.reason) == (1, reason)


def test_types_are_for_tables(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="types: are for CSV and TSV; this corpus is JSONL"):
        read(tmp_path / "c.jsonl", ['{"id": "1", "text": "t"}'], types={"year": "text"})


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ([], {}),
        (["a=text"], {"a": "text"}),
        (["a=text,b=float", "c=boolean"], {"a": "text", "b": "float", "c": "boolean"}),
        (["a,b=integer,c=d=text"], {"a,b": "integer", "c=d": "text"}),
    ],
)
def test_types_are_parsed(options: list[str], types: dict[str, str]) -> None:
    assert parse_types(options) == types


@pytest.mark.parametrize("option", ["", "a", "a=", "=text", "a=int", "a=text,b", "a=text,a=float"])
def test_what_says_no_type_is_refused(option: str) -> None:
    with pytest.raises(FieldError, match="types: "):
        parse_types([option])


@pytest.mark.parametrize("kind", ["integer", "float"])
@pytest.mark.parametrize(
    "cell",
    ["1" * 2**18, "1" * 2**18 + "x", "1." + "1" * 2**18 + "x", "+" * 2**18, "0" * 2**18 + "x"],
)
def test_a_long_cell_is_no_number(kind: Any, cell: str) -> None:
    """Work that grew with the square of the length would not end."""
    assert column([cell])[0] == "text"
    with pytest.raises(BadRecord, match="column 'c' has"):
        convert({"c": cell}, {"c": kind}, {"c"})
