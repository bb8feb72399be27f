from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus import FieldNames, ReadOptions, Record, read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.json_files.objects import read_json_values

ONE = {"id": "1", "text": "one", "n": [1, {"a": "}],"}]}
TWO = {"id": "2", "text": 'a "quoted" \\ one', "n": []}
DOCUMENTS = [
    Document(one["id"], one["text"], metadata={"n": one["n"]}) for one in (ONE, TWO)  # type: ignore[arg-type] # JSON
]  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OWN = {"id", "_id", "text", "title", "metadata", "passages"}
METADATA = st.dictionaries(
    TEXT.filter(lambda key: key not in OWN),
    TEXT | st.integers(0, 9) | st.lists(TEXT, max_size=2),
)


def read(folder: Path, content: str | bytes) -> list[Record]:
    path = folder / "corpus.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_corpus(path))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (json.dumps([ONE, TWO]), [1, 1]),
        (json.dumps([ONE, TWO], indent=2), [2, 12]),
        (json.dumps([ONE, TWO], indent=2).replace("\n", "\r\n"), [2, 12]),
        ("\ufeff\n\n " + json.dumps([ONE, TWO], indent=None), [3, 3]),
        ("\n".join(json.dumps(one, indent=1) for one in (ONE, TWO)), [1, 11]),
        ("\n".join(json.dumps(one) for one in (ONE, TWO)), [1, 2]),
        (f"[{json.dumps(ONE)}]\n[\n{json.dumps(TWO)}\n]\n", [1, 3]),
    ],
    ids=["list", "indented list", "returns", "mark", "indented objects", "lines", "two lists"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_lists_and_objects(tmp_path: Path, content: str, lines: list[int], zipped: bool) -> None:
    found = read(tmp_path, gzip.compress(content.encode()) if zipped else content)
    assert [record.document for record in found] == DOCUMENTS
    assert [record.line for record in found] == lines


def test_one_indented_object_and_an_empty_list(tmp_path: Path) -> None:
    assert [record.document for record in read(tmp_path, json.dumps(ONE, indent=4))] == DOCUMENTS[
        :1
    ]
    assert read(tmp_path, "[\n]") == []
    assert read(tmp_path, "") == []


@given(
    st.lists(METADATA, max_size=4),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
    st.integers(1, 9),
)
def test_what_was_written_is_read_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    metadata: list[dict[str, Any]],
    indent: int | None,
    escape: bool,
    chunk: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.json"
    rows = [{"id": str(n), "text": "t", **one} for n, one in enumerate(metadata)]
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=escape), encoding="utf-8")
    found = [record.document for record in read_json_values(path, chunk=chunk)]
    assert found == [Document(str(n), "t", metadata=one) for n, one in enumerate(metadata)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"id": "x" "text": ""}', "not valid JSON: Expecting ',' delimiter (character 12)"),
        ('{"id": "x"}', "text is missing"),
        ('["x"]', "a list must hold JSON objects; this one is a list"),
        ("7", "a list must hold JSON objects; this one is an integer"),
        ('{"id": 1, "text": ""}}', "not valid JSON: Extra data (character 22)"),
        ("", "nothing before a comma or the end of a list"),
    ],
)
def test_a_bad_object_spoils_no_other(tmp_path: Path, bad: str, reason: str) -> None:
    content = f"[\n{json.dumps(ONE)},\n{bad}\n,{json.dumps(TWO)}]"
    first, second, last = read(tmp_path, content)
    assert [first.document, last.document] == DOCUMENTS
    assert (second.line, second.reason, second.raw) == (3 if bad else 4, reason, bad)


def test_a_bracket_that_never_closes_says_how_far_it_reaches(tmp_path: Path) -> None:
    good, bad = read(tmp_path, f'[{json.dumps(ONE)},\n{{"id": "x",\n{json.dumps(TWO)}]\n')
    assert good.document == DOCUMENTS[0]
    assert (bad.line, bad.reason) == (
        2,
        "the file ends before this object or its list does; the object ends on line 3",
    )


@pytest.mark.parametrize(
    "content", ["[", '[{"id": "1", "text": "one"}', '[{"id": "1", "text": "one"},']
)
def test_a_list_that_never_ends_is_a_bad_record(tmp_path: Path, content: str) -> None:
    last = read(tmp_path, content)[-1]
    assert last.reason == "the file ends before this object or its list does"


@pytest.mark.parametrize("end", [",]", ", \n]"])
def test_a_comma_too_many_is_a_bad_record(tmp_path: Path, end: str) -> None:
    good, bad = read(tmp_path, f"[{json.dumps(ONE)}{end}")
    assert good.document == DOCUMENTS[0]
    assert bad.reason == "nothing before a comma or the end of a list"


@pytest.mark.parametrize("junk", ["]", ",", "junk", "}", "1 2"])
def test_what_stands_beside_a_list_is_a_bad_record(tmp_path: Path, junk: str) -> None:
    before, first, second, after = read(tmp_path, f"[]{junk}\n{json.dumps([ONE, TWO])}\n{junk}")
    assert [first.document, second.document] == DOCUMENTS
    assert (before.line, before.raw, after.line, after.raw) == (1, junk, 3, junk)


def test_an_object_too_long_to_hold(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps([{"id": "x", "text": "y" * 500}, {"id": "1", "text": "one"}]))
    bad, good = read_json_values(path, limit=100, chunk=64)
    assert bad.reason == "the object has 100 bytes or more"
    assert len(bad.raw) == 100
    assert good.document == Document("1", "one")


def test_bytes_that_are_not_valid_spoil_one_object(tmp_path: Path) -> None:
    bad, good = read(tmp_path, b'[{"id": "\xc3\xa9\xff"}, {"id": "1", "text": "one"}]')
    assert bad.reason is not None
    assert bad.reason.startswith("not valid UTF-8 at character 9 of the object")
    assert good.document == Document("1", "one")


def test_broken_gzip_ends_the_file(tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": f"{number * number}"} for number in range(9_000)]
    path = tmp_path / "corpus.json"
    path.write_bytes(gzip.compress(json.dumps(rows, indent=1).encode())[:-4000])
    records = read_corpus(path)
    assert next(records).document == Document("0", "0")
    with pytest.raises(CorpusError, match="broken gzip somewhere after line "):
        list(records)


def test_names_of_fields_hold_in_lists(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps([{"url": "u", "body": "b", "text": "short"}]))
    (record,) = read_corpus(path, reading=ReadOptions(fields=FieldNames("url", "body")))
    assert record.document == Document("u", "b", metadata={"text": "short"})
