"""What happens to the files of a log behind a server's back, and what is no file to keep a log in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.errors import FeedbackCorrupt, FeedbackNotKept, FieldError
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import Pair, Submission

ONE = Submission("key:one", 1.0, "1", (Pair("how does bread rise", "a", 1.0),))


def of(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}{name}")


def replaced(path: Path) -> None:
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [Path.unlink, replaced, cut])
@pytest.mark.parametrize("name", ["", "-wal"])
def test_nothing_is_kept_once_a_file_of_the_log_is_not_what_it_was(
    path: Path, harm: Callable[[Path], None], name: str
) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    harm(of(path, name))
    for key in "23":
        with pytest.raises(FeedbackNotKept, match=r"was (deleted|replaced|cut short)"):
            log.append([replace(ONE, key=key)])
    log.close()


def test_a_log_that_grows_over_many_checkpoints_is_still_the_same(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    long = Pair("bread " * 5_000, "a", 1.0)
    for number in range(300):
        log.append([replace(ONE, key=str(number), pairs=(long,))])
    assert 300 * 30_000 < log.bytes == sum(of(path, name).stat().st_size for name in ("", "-wal"))
    log.close()


def test_an_empty_log_beside_what_was_still_to_be_written_into_it_is_refused(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    kept = of(path, "-wal").read_bytes()
    log.close()
    os.truncate(path, 0)
    of(path, "-wal").write_bytes(kept)
    with pytest.raises(FeedbackCorrupt, match="cut short"):
        FeedbackLog.open(path)
    assert of(path, "-wal").read_bytes() == kept


def test_a_pipe_is_refused_and_not_waited_on(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(FieldError, match="not a plain file"):
        FeedbackLog.open(path)
    with pytest.raises(FeedbackCorrupt, match="not a plain file"):
        read_log(path)


def test_a_device_is_refused() -> None:
    with pytest.raises(FieldError, match="not a plain file"):
        FeedbackLog.open(Path("/dev/null"))


def test_a_log_whose_first_block_is_zero_is_refused_and_left_alone(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    log.close()
    whole = path.read_bytes()
    path.write_bytes(bytes(4_096) + whole[4_096:])
    with pytest.raises(FeedbackCorrupt, match="not a feedback log"):
        FeedbackLog.open(path)
    assert path.read_bytes() == bytes(4_096) + whole[4_096:]
