"""The write-ahead log: acknowledged writes are there, torn ones are cut off, altered ones are refused."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.locks import Held, hold
from lurcher.bundle.wal import WriteAheadLog, read_log
from lurcher.bundle.wal_format import Entry
from lurcher.errors import WalCorrupt, WriteNotKept
from tests.killed import KilledError, kill_at

NAME = "docs"


def opened(folder: Path, after: int = 0, **how: Any) -> WriteAheadLog:
    return WriteAheadLog(folder, NAME, after, **how)


def write(log: WriteAheadLog, *texts: str) -> list[Entry]:
    return log.append([("upsert", {"text": text}) for text in texts])


def texts(log: WriteAheadLog) -> list[str]:
    return [one.body["text"] for one in log.entries]


def log_file(folder: Path) -> Path:
    (path,) = folder.glob("*.log")
    return path


def three_writes(folder: Path) -> tuple[Path, list[int]]:
    """A log's file with three writes, and where each ends."""
    log, ends = opened(folder), []
    path = log_file(folder)
    for text in ("first", "second", "third"):
        write(log, text)
        ends.append(path.stat().st_size)
    log.close()
    return path, ends


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    log = opened(tmp_path)
    assert [one.sequence for one in write(log, "a", "b\n\0é")] == [1, 2]
    assert [one.sequence for one in write(log, "c")] == [3]
    log.close()
    again = opened(tmp_path)
    assert again.entries == [
        Entry(n, "upsert", {"text": t}) for n, t in [(1, "a"), (2, "b\n\0é"), (3, "c")]
    ]
    assert (again.sequence, again.torn) == (3, [])
    again.close()


def test_what_a_generation_has_is_not_given_again(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a", "b")
    write(log, "c")
    log.close()
    again = opened(tmp_path, after=2)
    assert texts(again) == ["c"]
    again.close()


def test_a_file_that_a_power_failure_brings_back_is_passed_over(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a")
    log.rotate([])
    write(log, "b")
    log.rotate(["a key"])
    write(log, "c")
    first, second, _ = sorted(tmp_path.glob("*.log"))
    second.unlink()  # both were removed once a generation had "a" and "b"
    again = opened(tmp_path, after=2)
    assert (texts(again), again.keys, first.exists()) == (["c"], ["a key"], False)
    again.close()
    log.close()


def test_a_torn_end_is_cut_off_at_each_of_its_bytes(tmp_path: Path) -> None:
    path, ends = three_writes(tmp_path)
    whole = path.read_bytes()
    for size in range(ends[0], ends[2]):
        for rest in (b"", bytes(len(whole) - size)):  # cut short; or room that was never written
            path.write_bytes(whole[:size] + rest)
            again = opened(tmp_path)
            assert texts(again) == ["first", "second"][: 1 + (size >= ends[1])]
            torn = size not in ends or bool(rest)
            assert [f"from byte {ends[size >= ends[1]]} on" in one for one in again.torn] == [
                True
            ] * torn
            assert write(again, "next")[0].sequence == len(again.entries) + 1
            again.close()
            once_more = opened(tmp_path)
            assert texts(once_more)[-1] == "next"
            assert once_more.torn == []
            once_more.close()


def test_a_sector_that_was_not_written_is_a_torn_end(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a")
    write(log, "b" * 3_000)
    log.close()
    path = log_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:1_024] + bytes(512) + whole[1_536:])
    again = opened(tmp_path)
    assert (texts(again), len(again.torn)) == (["a"], 1)
    again.close()


def test_a_changed_byte_is_refused_and_named(tmp_path: Path) -> None:
    path, ends = three_writes(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        with pytest.raises(WalCorrupt) as caught:
            opened(tmp_path)
        starts = [0, 8, *(end for end in ends[:2] if end <= place)] if place >= 8 else [0]
        begins = max(s for s in [*starts, _first_frame(whole)] if s <= place)
        assert caught.value.offset == begins
        assert path.read_bytes() != whole  # left as it was


def _first_frame(whole: bytes) -> int:
    """Where the first frame with writes begins, after the magic and the frame that heads the file."""
    return 8 + 24 + int.from_bytes(whole[8:12], "little")


def test_two_writes_at_once_are_one_frame(tmp_path: Path) -> None:
    log = opened(tmp_path)
    path = log_file(tmp_path)
    write(log, "a", "b")
    log.close()
    path.write_bytes(path.read_bytes()[:-1])
    again = opened(tmp_path)
    assert again.entries == []
    again.close()


def failing(name: str) -> Callable[[str], None]:
    def fail_point(reached: str) -> None:
        if reached == name:
            raise OSError(errno.ENOSPC, "No space left on device")

    return fail_point


@pytest.mark.parametrize("place", ["wal: append begun", "wal: append written"])
def test_a_full_disk_takes_nothing_and_the_log_goes_on(tmp_path: Path, place: str) -> None:
    at = [""]
    log = opened(tmp_path, fail_point=lambda reached: failing(at[0])(reached))
    write(log, "a")
    at[0] = place
    with pytest.raises(WriteNotKept, match="No space left"):
        write(log, "b")
    at[0] = ""
    assert write(log, "c")[0].sequence == 2
    log.close()
    again = opened(tmp_path)
    assert texts(again) == ["a", "c"]
    again.close()


def test_a_write_that_the_disk_took_half_of_is_taken_back(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.bytes + 40, hard))
    try:
        with pytest.raises(WriteNotKept, match="File too large"):
            write(log, "b" * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    write(log, "c")
    log.close()
    again = opened(tmp_path)
    assert (texts(again), again.torn) == (["a", "c"], [])
    again.close()


def test_a_new_file_takes_over_and_the_old_one_goes(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a", "b")
    log.rotate(["key"])
    write(log, "c")
    entries, head, torn = read_log(tmp_path, 0)
    assert ([e.body["text"] for e in entries], head["keys"], torn) == (["a", "b", "c"], ["key"], [])
    log.forget(1)  # no generation has all of the first file yet
    assert len(list(tmp_path.glob("*.log"))) == 2
    log.forget(2)
    log.close()
    assert log_file(tmp_path).name == "000000000002.log"
    again = opened(tmp_path, after=2)
    assert (texts(again), again.keys, again.sequence) == (["c"], ["key"], 3)
    again.close()
    with pytest.raises(WalCorrupt, match="begins after write 2, and the bundle has those up to 1"):
        opened(tmp_path, after=1)


def begin_and_forget(log: WriteAheadLog) -> None:
    log.rotate([])
    log.forget(1)


@pytest.mark.parametrize("place", ["wal: file written", "wal: file begun", "wal: file removed"])
def test_a_kill_while_a_file_is_begun_loses_nothing(tmp_path: Path, place: str) -> None:
    log = opened(tmp_path)
    write(log, "a")
    log.close()
    killed = opened(tmp_path, fail_point=kill_at(place))
    with pytest.raises(KilledError):
        begin_and_forget(killed)
    again = opened(tmp_path, after=1 if place == "wal: file removed" else 0)
    assert again.sequence == 1
    assert texts(again) == ([] if place == "wal: file removed" else ["a"])
    assert write(again, "b")[0].sequence == 2
    again.close()


def test_a_missing_file_and_another_bundles_are_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    write(log, "a")
    log.rotate([])
    write(log, "b")
    log.close()
    (tmp_path / "000000000000.log").unlink()
    with pytest.raises(WalCorrupt, match="up to 0"):
        opened(tmp_path)
    with pytest.raises(WalCorrupt, match="of another bundle"):
        WriteAheadLog(tmp_path, "other", 1)


def test_a_file_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"), pytest.raises(Held, match=r"process \d+ \(.+\)"):
        hold(tmp_path / "lock")
    hold(tmp_path / "lock").close()


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), max_size=5), st.data())
def test_any_writes_and_any_cut_leave_the_first_frames(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("wal")
    log, kept = opened(folder), []
    path = log_file(folder)
    for group in groups:
        write(log, *group)
        kept.append((path.stat().st_size, [*(kept[-1][1] if kept else []), *group]))
    log.close()
    size = path.stat().st_size
    cut = data.draw(st.integers(_first_frame(path.read_bytes()), size))
    path.write_bytes(path.read_bytes()[:cut])
    again = opened(folder)
    assert texts(again) == max((t for end, t in kept if end <= cut), key=len, default=[])
    again.close()
