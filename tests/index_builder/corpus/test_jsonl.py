from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.json_files.lines import read_jsonl
from lurcher.index_builder.corpus.records import Record

GOOD = b'{"id": "ok", "text": "fine"}\n'

CLEAN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | CLEAN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CLEAN, inner, max_size=3),
    max_leaves=8,
)


def read(folder: Path, content: bytes) -> list[Record]:
    path = folder / "corpus.jsonl"
    path.write_bytes(content)
    return list(read_jsonl(path))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": CLEAN.filter(str.strip),
                "title": CLEAN,
                "text": CLEAN,
                "metadata": st.dictionaries(CLEAN, JSON, max_size=3),
            }
        ),
        max_size=4,
    ),
    st.booleans(),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[dict[str, Any]],
    escaped: bool,
    zipped: bool,
) -> None:
    lines = "".join(f"{json.dumps(one, ensure_ascii=escaped)}\n" for one in records)
    content = gzip.compress(lines.encode()) if zipped else lines.encode()
    found = read(tmp_path_factory.mktemp("jsonl"), content)
    assert [record.document for record in found] == [Document(**one) for one in records]


@given(st.binary(max_size=80) | CLEAN.map(str.encode))
def test_no_line_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    line = line.replace(b"\n", b" ")
    found = read(tmp_path_factory.mktemp("jsonl"), GOOD + line + b"\n" + GOOD)
    assert found[0].document == found[-1].document == Document("ok", "fine")
    assert found[-1].line == 3
    for record in found[1:-1]:
        assert record.line == 2
        assert (record.document is None) != (record.reason is None)


def test_fields_of_the_record_and_of_its_metadata_are_joined(tmp_path: Path) -> None:
    line = b'{"_id": 12, "title": null, "text": "", "year": 1, "metadata": {"url": "u"}}'
    (record,) = read(tmp_path, line)
    assert record.document == Document("12", "", "", {"year": 1, "url": "u"})


def test_metadata_may_be_null(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b'{"id": "a", "text": "t", "metadata": null}')
    assert record.document == Document("a", "t")


def test_raw_control_characters_in_strings_are_kept(tmp_path: Path) -> None:
    (record,) = read(tmp_path, b'{"id": "a", "text": "x\ty\x00z"}\n')
    assert record.document == Document("a", "x\ty\x00z")


def test_blank_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, b"\n  \r\n" + GOOD + b"\n\t\n" + GOOD)
    assert [record.line for record in found] == [3, 6]


def test_a_file_without_lines_has_no_records(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            '{"id": "a", "text": "cu',
            "not valid JSON: Unterminated string starting at (character 21)",
        ),
        ('{"id": "a"', "not valid JSON: Expecting ',' delimiter (character 11)"),
        ("plain words", "not valid JSON: Expecting value (character 1)"),
        ('{"id": "a", "text": "t"} {}', "not valid JSON: Extra data (character 26)"),
        ('["a"]', "a line must hold a JSON object; this one is a list"),
        ("null", "a line must hold a JSON object; this one is null"),
        ('"a"', "a line must hold a JSON object; this one is a string"),
        ('{"id": "a", "text": "t", "text": "u"}', "the key 'text' stands twice in one object"),
        (
            '{"id": "a", "text": "t", "m": [{"k": 1, "k": 1}]}',
            "the key 'k' stands twice in one object",
        ),
        ('{"id": "a", "text": "t", "metadata": []}', "metadata is a list; it must be an object"),
        (
            '{"id": "a", "text": "t", "y": 1, "metadata": {"y": 1}}',
            "'y' is both a field of the record and a key of its metadata",
        ),
        ('{"id": "a", "text": "t", "m": NaN}', "NaN is not valid JSON"),
        ('{"id": "a", "text": "t", "m": -Infinity}', "-Infinity is not valid JSON"),
        ('{"id": "a", "text": "t", "m": 1e999}', "the number 1e999 is too large for a float"),
        (
            '{"id": "a", "text": "t", "m": ' + "1" * 4301 + "}",
            "an integer of 4,301 digits is too long",
        ),
        (
            '{"id": "a", "text": "\\ud800"}',
            "text holds a lone surrogate, which is not valid Unicode",
        ),
        ('{"id": "a", "text": "t", "m": ' + "[" * 99_999 + "]" * 99_999 + "}", "nested too deep"),
        (
            '{"id": "a", "text": "t", "m": ' + "[" * 200 + "]" * 200 + "}",
            "metadata 'm' is nested more",
        ),
        ('{"id": "a"}', "text is missing"),
        ('{"id": "' + "x" * 513 + '", "text": "t"}', "id has 513 bytes of UTF-8; the most is 512"),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_line(tmp_path: Path, line: str, reason: str) -> None:
    first, bad, last = read(tmp_path, GOOD + line.encode() + b"\r\n" + GOOD)
    assert first.document == last.document == Document("ok", "fine")
    assert (bad.file, bad.line, bad.document) == (tmp_path / "corpus.jsonl", 2, None)
    assert bad.reason is not None
    assert bad.reason.startswith(reason)
    assert bad.raw == line[:1000]


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    _, bad, last = read(tmp_path, GOOD + b'{"id": "\xff"}\n' + GOOD)
    assert bad.line == 2
    assert bad.reason is not None
    assert bad.reason.startswith("not valid UTF-8 at byte 8 of the line")
    assert bad.raw == '{"id": "\\xff"}'
    assert last.document is not None


def test_a_document_of_a_megabyte(tmp_path: Path) -> None:
    text = "word " * 200_000
    (record,) = read(tmp_path, json.dumps({"id": "a", "text": text}).encode())
    assert record.document == Document("a", text)
