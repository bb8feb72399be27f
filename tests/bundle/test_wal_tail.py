"""A log read while another process writes it: each acknowledged write once, whatever is cut or torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.bundle.follow_file import FollowFile, FollowReader, Marks
from lurcher.bundle.wal import WriteAheadLog
from lurcher.bundle.wal_tail import LogTail
from lurcher.errors import WalCorrupt

NAME = "docs"


def write(log: WriteAheadLog, *texts: str) -> None:
    log.append([("upsert", {"text": text}) for text in texts])


def read(tail: LogTail) -> list[str]:
    """The texts of what is new, which is taken."""
    entries, _ = tail.read()
    for entry in entries:
        tail.taken(entry.sequence)
    return [one.body["text"] for one in entries]


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_what_is_acknowledged_is_read_once_and_no_more(tmp_path: Path) -> None:
    log, tail = WriteAheadLog(tmp_path, NAME, 0), LogTail(tmp_path, NAME, 0)
    follow = FollowFile(tmp_path, 0, 0)
    write(log, "a", "b")
    assert read(tail) == []
    follow.acknowledge(2)
    write(log, "c")
    assert read(tail) == ["a", "b"]
    assert read(tail) == []
    follow.acknowledge(3)
    assert read(tail) == ["c"]
    log.close()
    follow.close()


def test_reading_goes_on_in_the_next_file_and_after_a_generation(tmp_path: Path) -> None:
    log, tail = WriteAheadLog(tmp_path, NAME, 0), LogTail(tmp_path, NAME, 0)
    follow = FollowFile(tmp_path, 0, 0)
    write(log, "a")
    follow.acknowledge(1)
    follow.rotate(1)
    log.rotate([])
    write(log, "b")
    follow.acknowledge(2)
    assert read(tail) == ["a", "b"]
    write(log, "c")
    follow.acknowledge(3)
    follow.rotate(3)
    log.rotate([])
    log.forget(3)
    follow.forget()
    write(log, "d")
    follow.acknowledge(4)
    assert read(tail) == []  # c is only in the generation
    tail.taken(3)
    assert read(tail) == ["d"]
    log.close()
    follow.close()


@pytest.mark.parametrize("marked", [True, False])
def test_a_log_torn_at_each_byte_gives_its_whole_frames(tmp_path: Path, *, marked: bool) -> None:
    log, ends = WriteAheadLog(tmp_path, NAME, 0), list[int]()
    path = only(tmp_path, "*.log")
    for text in ("first", "second", "third"):
        write(log, text)
        ends.append(path.stat().st_size)
    log.close()
    if marked:
        FollowFile(tmp_path, 3, 3).close()
    whole = path.read_bytes()
    tail = LogTail(tmp_path, NAME, 0)
    found: list[str] = []
    for size in range(ends[0], ends[2] + 1):
        path.write_bytes(whole[:size])
        expected = ["first", "second", "third"][: sum(end <= size for end in ends)]
        assert read(LogTail(tmp_path, NAME, 0)) == expected  # that begins now
        found += read(tail)  # that has read the shorter one before
        assert found == expected


def test_a_file_of_marks_torn_at_each_byte_tells_what_it_told_before(tmp_path: Path) -> None:
    follow = FollowFile(tmp_path, 0, 0)
    path, ends = only(tmp_path, "*.follow"), [8 + 28]
    for step in (
        lambda: follow.acknowledge(1),
        lambda: follow.add(b"codes"),
        lambda: follow.finish(1),
    ):
        step()
        ends.append(path.stat().st_size)
    follow.close()
    whole = path.read_bytes()
    growing = FollowReader(tmp_path)
    told: list[bytes] = []
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        reader = FollowReader(tmp_path)
        payloads, frames = reader.read(), sum(end <= size for end in ends)
        assert reader.marks == [None, Marks(0, 0), Marks(1, 0), Marks(1, 0), Marks(1, 1)][frames]
        assert payloads == [b"codes"] * (frames >= 3)
        told += growing.read()
        assert (growing.marks, told) == (reader.marks, payloads)


def test_a_write_that_the_disk_refused_is_never_read(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    follow, tail = FollowFile(tmp_path, 0, 0), LogTail(tmp_path, NAME, 0)

    def full(reached: str) -> None:
        if reached == "wal: append written" and not seen:
            seen.append(read(tail))
            raise OSError(28, "no space left")

    log = WriteAheadLog(tmp_path, NAME, 0, full)
    with pytest.raises(Exception, match="no space left"):
        write(log, "refused")
    write(log, "kept")
    follow.acknowledge(1)
    assert (seen, read(tail)) == ([[]], ["kept"])
    log.close()
    follow.close()


def test_an_acknowledged_write_that_was_altered_is_refused(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path, NAME, 0)
    write(log, "a")
    log.close()
    FollowFile(tmp_path, 1, 1).close()
    path = only(tmp_path, "*.log")
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(WalCorrupt, match="content of a frame"):
        LogTail(tmp_path, NAME, 0).read()


def test_the_log_of_another_bundle_is_refused(tmp_path: Path) -> None:
    WriteAheadLog(tmp_path, "other", 0).close()
    with pytest.raises(WalCorrupt, match="another bundle"):
        LogTail(tmp_path, NAME, 0).read()
