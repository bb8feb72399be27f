from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lurcher.errors import CorpusError, FieldError
from lurcher.index_builder.corpus import FieldNames, ReadOptions, read_corpus
from lurcher.index_builder.corpus.document import Document

ROW = {"id": 7, "url": "u", "text": "short", "body": "long", "title": "t"}
NAMES = ReadOptions(fields=FieldNames.parse(["id=url", "text=body"]))
EXPECTED = Document("u", "long", "t", {"id": 7, "text": "short"})


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_what_has_the_usual_name_besides_is_metadata(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus.{suffix}"
    delimiter = "\t" if suffix == "tsv" else ","
    cells = [list(map(str, row)) for row in (ROW, ROW.values())]
    match suffix:
        case "parquet":
            columns = {name: [value] for name, value in ROW.items()}
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
        case "csv" | "tsv":
            path.write_text("\n".join(delimiter.join(row) for row in cells))
        case _:
            path.write_text(json.dumps(ROW))
    (record,) = read_corpus(path, reading=NAMES)
    assert record.document is not None
    assert record.document.metadata.pop("id") in (7, "7")  # a cell is a text
    assert record.document == Document("u", "long", "t", {"text": "short"})


def test_one_field_can_be_two_things(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "x", "name": "n"}')
    names = FieldNames.parse(["id=name", "title=name", "text=name"])
    (record,) = read_corpus(path, reading=ReadOptions(fields=names))
    assert record.document == Document("n", "n", "n", {"_id": "x"})


def test_a_record_without_the_field_is_bad_unless_it_is_the_title(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "1", "text": "t"}\n{"id": "2", "body": "b"}')
    names = FieldNames.parse(["text=body", "title=head"])
    bad, good = read_corpus(path, reading=ReadOptions(fields=names))
    assert bad.reason == "text is missing; it is called 'body'"
    assert good.document == Document("2", "b")


def test_a_key_of_the_metadata_may_not_hide_a_field(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "1", "text": "t", "body": "b", "metadata": {"text": 1}}')
    (bad,) = read_corpus(path, reading=ReadOptions(fields=FieldNames(text="body")))
    assert bad.reason == "'text' is both a field of the record and a key of its metadata"


def test_a_table_without_the_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text("id,text\n1,t\n")
    with pytest.raises(CorpusError) as caught:
        list(read_corpus(path, reading=ReadOptions(fields=FieldNames(title="head"))))
    assert caught.value.reason == "no column is called 'head', for title; there are: 'id', 'text'"


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (["text"], "'text' is not OURS=THEIRS, such as text=body; OURS is one of id, text, title"),
        (["text="], "'text=' is not OURS=THEIRS"),
        (["body=text"], "'body=text' is not OURS=THEIRS"),
        (["text=a", "text=b"], "text is given twice: 'a' and 'b'"),
    ],
)
def test_pairs_that_cannot_be(pairs: list[str], reason: str) -> None:
    with pytest.raises(FieldError) as caught:
        FieldNames.parse(pairs)
    assert caught.value.field == "field"
    assert reason in str(caught.value)


def test_a_name_may_hold_an_equals_sign() -> None:
    assert FieldNames.parse(["text=a=b"]) == FieldNames(text="a=b")
