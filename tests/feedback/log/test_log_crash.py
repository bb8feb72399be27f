"""Whoever dies, whoever else comes, and a disk that is full: whole appends are there."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.errors import FeedbackCorrupt, FeedbackNotKept, FieldError
from lurcher.feedback.log import FeedbackLog, read_log
from tests.feedback.log.written import ONE, TWO, content, write

# Dies with what it writes before it is committed, after what it was told to append before.
KILLED = """
import os, signal, sys
from pathlib import Path
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Pair, Submission
appends = [0]
def die_in_the_third():
    appends[0] += 1
    if appends[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
log, _ = FeedbackLog.open(Path(sys.argv[1]), before_commit=die_in_the_third)
for i in range(3):
    many = tuple(Pair("q" * 50, f"p{j}", 1.0) for j in range(200 if i == 2 else 2))
    log.append([Submission("c", 1.0, str(i), many)])
"""


def test_what_was_appended_survives_a_kill_and_what_was_not_leaves_nothing(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [s.key for s in read_log(path).submissions] == ["0", "1"]
    write(path, [ONE])
    assert [(s.sequence, s.key) for s in content(path).submissions] == [
        (1, "0"), (2, "1"), (3, "a"),
    ]  # fmt: skip


def test_torn_writes_leave_whole_appends(path: Path, tmp_path: Path) -> None:
    """The write-ahead log cut anywhere, as a power cut leaves it: a beginning of the appends is there."""
    log, _ = FeedbackLog.open(path)
    sizes, wal = [], path.with_name("feedback.log-wal")
    for i in range(4):
        log.append([replace(ONE, key=str(i))])
        sizes.append(wal.stat().st_size)
    torn = tmp_path / "torn" / path.name
    torn.parent.mkdir()
    raw, database = wal.read_bytes(), path.read_bytes()
    for size in (*sizes, *(size - 1 for size in sizes), *(size - 3_000 for size in sizes)):
        for file in torn.parent.iterdir():
            file.unlink()
        torn.write_bytes(database)
        torn.with_name("feedback.log-wal").write_bytes(raw[:size] + b"\0" * 500)
        whole = sum(end <= size for end in sizes)
        assert [s.key for s in content(torn).submissions] == [str(i) for i in range(whole)]
    log.close()


def test_a_log_whose_making_was_interrupted_is_begun_anew(path: Path) -> None:
    path.touch()
    with pytest.raises(FeedbackCorrupt, match="nothing was written to this log yet"):
        read_log(path)
    write(path, [ONE])
    assert len(content(path).submissions) == 1


def test_what_is_left_of_another_logs_write_ahead_log_is_not_taken_for_its_own(
    path: Path, tmp_path: Path
) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    other = tmp_path / "other.log"
    shutil.copy(path.with_name("feedback.log-wal"), other.with_name("other.log-wal"))
    write(other, [TWO])
    assert [s.key for s in content(other).submissions] == ["b"]
    log.close()


def test_only_one_writes_but_others_may_read(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    with pytest.raises(FieldError, match="another process writes") as caught:
        FeedbackLog.open(path)
    assert caught.value.field == "feedback"
    assert len(read_log(path).submissions) == 1
    log.append([TWO])
    assert len(read_log(path).submissions) == 2
    log.close()
    write(path, [replace(TWO, key="c")])


# A limit on the size of any one file fails a write as a full disk does: a part is written first.
LIMITED = """
import resource, sys
from pathlib import Path
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Pair, Submission
from lurcher.errors import FeedbackNotKept
log, _ = FeedbackLog.open(Path(sys.argv[1]))
def of(key, size):
    return [Submission("c", 1.0, key, (Pair("q" * size, "p", 1.0),))]
log.append(of("a", 1))
wal = Path(sys.argv[1] + "-wal").stat().st_size
for key in "bc":
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 9_000, resource.RLIM_INFINITY))
    try:
        log.append(of("large", 50_000))
    except FeedbackNotKept as error:
        print("not kept:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.append(of(key, 1))
"""


def test_a_full_disk_leaves_nothing_of_the_append_and_a_log_of_use(path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count(f"not kept: {path} cannot be written") == 2
    assert [(s.key, s.sequence) for s in content(path).submissions] == [
        ("a", 1), ("b", 2), ("c", 3),
    ]  # fmt: skip


def test_an_append_that_somebody_elses_lock_keeps_out_can_be_tried_again(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(FeedbackNotKept, match=r"feedback\.log cannot be written: database is lock"):
        log.append([ONE])
    stranger.close()
    assert log.append([ONE]) == [replace(ONE, sequence=1)]
    log.close()
