"""Other files, and damage: each is named and left alone."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.errors import FeedbackCorrupt, FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import LimitsChange, Removal
from tests.feedback.log.written import ONE, TWO, content, write


@pytest.mark.parametrize(
    "raw", [b"a secret key", b"# Notes\n\nmany\n", b"0" * 500, b'{"a": 1}\n', b"SQLite format 3\0"]
)
def test_a_file_that_is_no_log_is_refused_and_left_alone(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    for use in (read_log, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt, match=r"feedback\.log: not a feedback log"):
            use(path)
    assert path.read_bytes() == raw


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE records(sequence INTEGER PRIMARY KEY)")
    db.commit()
    db.close()
    raw = path.read_bytes()
    for use in (read_log, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt, match="not a feedback log"):
            use(path)
    assert path.read_bytes() == raw


def test_a_log_of_lines_is_named_as_such_and_left_alone(path: Path) -> None:
    raw = b'4a1f03c2 {"format":1,"id":"0123456789abcdef0123456789abcdef"}\n'
    path.write_bytes(raw)
    for use in (read_log, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt, match="a log of lines, as earlier versions"):
            use(path)
    assert path.read_bytes() == raw


def test_a_later_format_is_named(path: Path) -> None:
    write(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(FeedbackCorrupt, match="format 3, this version reads 2: upgrade"):
        read_log(path)


def test_each_changed_byte_is_found_or_changes_nothing(path: Path) -> None:
    write(path, [LimitsChange(1.0, Limits(2, 0.5))], [ONE], [TWO], [Removal(40.0, keys=("a",))])
    raw, wanted = path.read_bytes(), content(path)
    found = 0
    used = [at for at in range(len(raw)) if raw[at]] + [*range(100)]  # most of a page is empty
    for at in used:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x11]) + raw[at + 1 :])
        try:
            assert read_log(path) == wanted
        except FeedbackCorrupt:
            found += 1
    assert found > len(used) // 2


def test_a_damaged_record_is_named_and_what_is_advised_helps(path: Path) -> None:
    write(path, [ONE], [TWO], [replace(ONE, key="c")])
    raw = path.read_bytes()
    at = raw.index(b'[["the cat","p3"') + 4
    path.write_bytes(raw[:at] + b"T" + raw[at + 1 :])
    damaged = path.read_bytes()
    for use in (read_log, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt, match=r"record 2: the record is damaged") as caught:
            use(path)
        assert (caught.value.file, caught.value.record) == (path, 2)
        assert f"sqlite3 {path} 'DELETE FROM records WHERE sequence = 2'" in str(  # noqa: S608
            caught.value
        )
    assert path.read_bytes() == damaged
    db = sqlite3.connect(path)
    db.execute("DELETE FROM records WHERE sequence = 2")
    db.commit()
    db.close()
    assert [s.sequence for s in content(path).submissions] == [1, 3]


@pytest.mark.parametrize("kept", [1, 50, 100, 4_000, 5_000])
def test_a_log_cut_short_is_refused(path: Path, kept: int) -> None:
    write(path, [ONE])
    raw = path.read_bytes()
    assert kept < len(raw)
    path.write_bytes(raw[:kept])
    for use in (read_log, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt):
            use(path)
    assert path.read_bytes() == raw[:kept]


@pytest.mark.parametrize("name", ["missing/feedback.log", "."])
def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FieldError, match="cannot open") as caught:
        FeedbackLog.open(tmp_path / name)
    assert caught.value.field == "feedback"
    with pytest.raises(OSError, match=r"feedback\.log|directory"):
        read_log(tmp_path / name)
