from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import CorpusError, FieldError
from lurcher.index_builder.corpus import ReadOptions, Record, read_corpus
from lurcher.index_builder.corpus.document import Document


def read(folder: Path, name: str, content: str, delimiter: str | None = None) -> list[Record]:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return list(read_corpus(path, reading=ReadOptions(delimiter=delimiter)))


def texts(records: list[Record]) -> list[tuple[str, str]]:
    assert not [record.reason for record in records if record.reason]
    return [(record.document.id, record.document.text) for record in records if record.document]


@pytest.mark.parametrize(
    ("name", "content", "delimiter"),
    [
        ("a.csv", "sep=;\nid;text\n1;a,b\n", None),
        ("a.csv", "\ufeffSEP=;\r\nid;text\r\n1;a,b\r\n", None),
        ("a.csv", '"sep=|"\nid|text\n1|a,b\n', None),
        ("a.csv", "sep=\t\nid\ttext\n1\ta,b\n", None),
        ("a.tsv", "sep=;\nid;text\n1;a,b\n", None),
        ("a.csv", "sep=,\nid;text\n1;a,b\n", ";"),
        ("a.csv", "id;text\n1;a,b\n", ";"),
        ("a.csv", "id\ttext\n1\ta,b\n", "tab"),
        ("a.csv", "id\ttext\n1\ta,b\n", "\\t"),
        ("a.tsv", "id|text\n1|a,b\n", "|"),
    ],
)
def test_what_separates_cells(
    tmp_path: Path, name: str, content: str, delimiter: str | None
) -> None:
    assert texts(read(tmp_path, name, content, delimiter)) == [("1", "a,b")]


def test_a_line_that_notes_the_delimiter_is_counted(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, "a.csv", "sep=;\nid;text\n1\n")
    assert bad.line == 3
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, "a.csv", "sep=;\nid,text\n")
    assert caught.value.line == 2


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "comma"])
def test_a_delimiter_that_cannot_be(delimiter: str) -> None:
    with pytest.raises(FieldError) as caught:
        ReadOptions(delimiter=delimiter)
    assert caught.value.field == "delimiter"


@pytest.mark.parametrize(
    ("name", "header", "hint"),
    [("a.csv", "id;text", "';'"), ("a.csv", "id\ttext", "'tab'"), ("a.tsv", "id,text", "','")],
)
def test_a_header_of_one_cell_is_told_about_delimiters(
    tmp_path: Path, name: str, header: str, hint: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        read(tmp_path, name, f"{header}\n")
    assert caught.value.reason.endswith(f"give --delimiter {hint}")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Quoted, as spreadsheets write it.
        ('1\t"a ""b"" c"\n', [("1", 'a "b" c')]),
        ('1\t"a\tb"\n', [("1", "a\tb")]),
        ('1\t"two\nlines"\n2\tx\n', [("1", "two\nlines"), ("2", "x")]),
        ('1\t"three\n\nlines"\n2\tx\n', [("1", "three\n\nlines"), ("2", "x")]),
        # Not quoted.
        ('1\t"a" b\n2\tx\n', [("1", '"a" b'), ("2", "x")]),
        ('1\t"a\n2\tx\n', [("1", '"a'), ("2", "x")]),
        ('1\t"a\n2\tb"\n3\tx\n', [("1", '"a'), ("2", 'b"'), ("3", "x")]),
        ('1\t"a\n2\t"b\n3\t"c\n', [("1", '"a'), ("2", '"b'), ("3", '"c')]),
        ('1\ta\rb\n2\tx\n', [("1", "a\rb"), ("2", "x")]),
        # Both, which a stray quote may not mix up.
        ('1\t"a\n2\tx\n3\t"two\nlines"\n', [("1", '"a'), ("2", "x"), ("3", "two\nlines")]),
    ],
)  # fmt: skip
def test_tabs_with_quotes_and_without(
    tmp_path: Path, rows: str, expected: list[tuple[str, str]]
) -> None:
    assert texts(read(tmp_path, "a.tsv", f"id\ttext\n{rows}")) == expected
    assert texts(read(tmp_path, "a.csv", f"id\ttext\n{rows}", "tab")) == expected


def test_a_bad_line_of_tabs_takes_no_good_one_with_it(tmp_path: Path) -> None:
    bad, good = read(tmp_path, "a.tsv", 'id\ttext\n1\tx\t"a\n2\tb\n')
    assert (bad.line, bad.reason) == (2, "3 cells where the header has 2")
    assert good.document == Document("2", "b")


def test_a_quote_takes_rows_of_commas_with_it_and_says_so(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, "a.csv", 'id,text\n1,"a\n2,b\n')
    assert (bad.line, bad.reason) == (
        2,
        "not a valid row: unexpected end of data; the row ends on line 3",
    )


def test_quotes_that_open_again_and_again_take_linear_time(tmp_path: Path) -> None:
    # Each quote would draw all of the rest into its row: for 30,000 lines, a billion of them.
    rows = "".join(f'{number}"\t"a\n' + f"{number}\tx\n" * 9 for number in range(3_000))
    found = texts(read(tmp_path, "a.tsv", f"id\ttext\n{rows}"))
    assert len(found) == 30_000
