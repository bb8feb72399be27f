from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.index_builder.corpus import ReadOptions, Record, read_corpus
from lurcher.index_builder.corpus.encoding.labels import _LABELS, Encoding, encoding_of
from lurcher.index_builder.corpus.encoding.lines import Line, read_lines


def named(label: str) -> Encoding:
    encoding = encoding_of(label)
    assert encoding is not None
    return encoding


def read(folder: Path, name: str, content: bytes, label: str | None = None) -> list[Record]:
    (folder / name).write_bytes(content)
    return list(read_corpus(folder / name, reading=ReadOptions(label)))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("latin1", "windows-1252"),
        ("ISO-8859-1", "windows-1252"),
        (" us-ascii\n", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("tis-620", "windows-874"),
        ("gb2312", "gb18030"),
        ("Shift_JIS", "shift_jis"),
        ("x-sjis", "shift_jis"),
        ("ks_c_5601-1987", "euc-kr"),
        ("utf8", "utf-8"),
        ("unicode", "utf-16le"),
        ("utf-16", "utf-16le"),
    ],
)
def test_labels_mean_what_they_mean_to_browsers(label: str, name: str) -> None:
    assert named(label).name == name


def test_python_has_a_codec_for_every_label() -> None:
    assert len(_LABELS) > 200
    for encoding in _LABELS.values():
        codecs.lookup(encoding.codec)
        assert named(encoding.name) == encoding


@pytest.mark.parametrize("label", ["", "utf-7", "klingon", "utf-8-sig", "rot13"])
def test_an_encoding_that_browsers_do_not_know(label: str) -> None:
    with pytest.raises(FieldError, match="is no label that browsers know") as caught:
        ReadOptions(encoding=label)
    assert caught.value.field == "encoding"


@pytest.mark.parametrize(
    ("label", "raw", "text"),
    [
        ("latin1", b"\x93caf\xe9\x94 \x81", "“café” \x81"),
        ("windows-1253", b"\xe1\x81", "α\x81"),
        ("gb2312", b"\xc4\xe3\x94\x39\xda\x33", "你💩"),
        ("shift_jis", b"\x83\x5c\x87\x40", "ソ①"),
        ("euc-jp", b"\xad\xa1\xa4\xa2", "①あ"),
        ("iso-2022-jp", b"\x1b$B$3\x1b(I1\x1b(B.", "こｱ."),
        ("euc-kr", b"\x8c\x63", "똠"),
        ("big5", b"\xa7\x41", "你"),
        ("koi8-r", b"\xd0\xd2", "пр"),
        ("utf-16be", "é家😀".encode("utf-16-be"), "é家😀"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_texts_and_lines_are_decoded_alike(
    tmp_path: Path, label: str, raw: bytes, text: str, zipped: bool
) -> None:
    (record,) = read(tmp_path, "a.txt", gzip.compress(raw) if zipped else raw, label)
    assert record.document is not None
    assert record.document.text == text.strip()
    assert [line.text for line in read_lines(tmp_path / "a.txt", encoding=named(label))] == [text]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("label", [None, "latin1", "utf-16le"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "é 😀"),
        ("a.html", "<meta charset=gbk><p>é 😀"),
        ("a.jsonl", '{"id": "1", "text": "é 😀"}\n'),
        ("a.json", '[\n{"id": "1", "text": "é 😀"}]\n'),
        ("a.csv", "id,text\r\n1,é 😀\r\n"),
        ("a.ipynb", '{"cells": [{"cell_type": "markdown", "source": "é 😀"}]}'),
    ],
)
def test_a_byte_order_mark_tells_more_than_anything_else(
    tmp_path: Path, codec: str, label: str | None, name: str, text: str
) -> None:
    (record,) = read(tmp_path, name, f"\ufeff{text}".encode(codec), label)
    assert record.document is not None
    assert record.document.text == "é 😀"


def test_bad_bytes_spoil_their_own_line_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'a\n\x82"b\nc\\\n')
    # The quote after a lead byte without its trail byte is a quote.
    assert list(read_lines(path, encoding=named("shift_jis"))) == [
        Line(1, "a\n"),
        Line(2, '\\x82"b\n', "not valid SHIFT_JIS at character 0 of the line"),
        Line(3, "c\\\n"),
    ]
    path.write_bytes(
        "\ufeffa\n".encode("utf-16-le") + b"b\0\x00\xd8\n\0" + "c\n".encode("utf-16-le") + b"d"
    )
    first, second, third, last = read_lines(path)
    assert (first, third) == (Line(1, "a\n"), Line(3, "c\n"))
    assert second.fault == "not valid UTF-16LE at character 1 of the line"
    assert last.fault == "not valid UTF-16LE at character 0 of the line"


def test_a_bad_text_says_where(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "a.txt", b"ab\x82", "shift_jis")
    assert record.reason == "not valid SHIFT_JIS at character 2 of the file"


def test_utf16_without_a_mark_is_not_taken_for_text(tmp_path: Path) -> None:
    raw = "no mark".encode("utf-16-le")
    (record,) = read(tmp_path, "a.txt", raw)
    assert record.reason is not None
    assert record.reason.endswith("if it is UTF-16, give --encoding utf-16le")
    (record,) = read(tmp_path, "a.txt", raw, "utf-16le")
    assert record.document is not None
    assert record.document.text == "no mark"
