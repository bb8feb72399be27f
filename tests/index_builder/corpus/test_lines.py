from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.encoding.lines import Line, read_lines

BOM = b"\xef\xbb\xbf"
TEXT = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "lines"
    path.write_bytes(content)
    return path


@given(st.lists(TEXT, min_size=1))
def test_only_a_line_feed_ends_a_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    content = "".join(f"{text}\n" for text in texts)
    plain = written(tmp_path_factory.mktemp("plain"), BOM + content.encode())
    zipped = written(tmp_path_factory.mktemp("gz"), gzip.compress(BOM + content.encode()))
    expected = [Line(number, f"{text}\n") for number, text in enumerate(texts, 1)]
    assert list(read_lines(plain)) == expected
    assert list(read_lines(zipped)) == expected


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\r\nb")
    assert list(read_lines(path)) == [Line(1, "a\r\n"), Line(2, "b")]


def test_a_mark_is_only_taken_off_the_first_line(tmp_path: Path) -> None:
    path = written(tmp_path, BOM + b"a\n" + BOM + b"b\n")
    assert [line.text for line in read_lines(path)] == ["a\n", "\ufeffb\n"]


def test_bytes_that_are_no_utf8_spoil_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\nab\xff\xc3\nc\n")
    fault = "not valid UTF-8 at byte 2 of the line; if it has another encoding, give --encoding"
    assert list(read_lines(path)) == [
        Line(1, "a\n"),
        Line(2, "ab\\xff\\xc3\n", fault),
        Line(3, "c\n"),
    ]


def test_a_line_over_the_limit_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, b"1234567\n" + b"x" * 50 + b"\nlast\n")
    assert list(read_lines(path, limit=8)) == [
        Line(1, "1234567\n"),
        Line(2, "xxxxxxxx", "line has 8 bytes or more", whole=False),
        Line(3, "last\n"),
    ]


def test_a_line_over_the_limit_at_the_end(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * 50)
    assert [line.whole for line in read_lines(path, limit=8)] == [False]


def test_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert [line.text for line in read_lines(path)] == ["a\n", "b\n"]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"a\nb\n")[:-6],
        gzip.compress(b"a\n")[:12],
        gzip.compress(b"a\n") + b"garbage",
        gzip.compress(b"a\n")[:10] + b"\xff" * 40,
    ],
    ids=["no trailer", "cut", "garbage behind", "garbage inside"],
)
def test_broken_gzip(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(CorpusError) as caught:
        list(read_lines(path))
    assert (caught.value.file, caught.value.line) == (path, None)
    assert caught.value.reason.startswith("broken gzip somewhere after line ")


def test_lines_before_the_break_are_read(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b"line %d\n" % n for n in range(50_000)))
    lines = read_lines(written(tmp_path, content[: len(content) // 2]))
    assert [next(lines).text for _ in range(10_000)][-1] == "line 9999\n"
    with pytest.raises(CorpusError, match=r"broken gzip somewhere after line [1-4][0-9]{4}: "):
        list(lines)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        list(read_lines(tmp_path / "none"))
    assert caught.value.reason == "cannot be read: No such file or directory"
