"""The feedback log: what was appended is there, whatever happens meanwhile; damage is named."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FeedbackCorrupt, FeedbackNotKept, FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import (
    Judgement,
    LimitsChange,
    LogContent,
    Pair,
    Record,
    Removal,
    Submission,
)
from tests.feedback.logs import quick_path

ONE = Submission("address:::1", 10.0, "a", (Pair("the cat", "p1", 1.0), Pair("the dog", "p2", 0.5)))
TWO = Submission("key:abc", 20.0, "b", (Pair("the cat", "p3", 2.0),), "digest", (1, 4))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
few = st.sampled_from(["a", "b", "c"])
times = st.sampled_from([0.0, 1.5, 2.0, 1e9 + 0.1])
weights = st.floats(0, 1_000, exclude_min=True)
submissions = st.builds(
    Submission,
    texts,
    times,
    few,
    st.lists(st.builds(Pair, texts, texts, weights), max_size=3).map(tuple),
    texts,
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
)
records = submissions | st.builds(
    Removal, times, st.lists(few, max_size=2).map(tuple), st.none() | times
)
records |= st.builds(LimitsChange, times, st.builds(Limits, st.integers(1, 3), weights))
appends = st.lists(st.lists(records, min_size=1, max_size=3), max_size=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.log"


def write(path: Path, *batches: Sequence[Record]) -> None:
    log, _ = FeedbackLog.open(path)
    for batch in batches:
        log.append(batch)
    log.close()


def content(path: Path) -> LogContent:
    """What a writer finds, which is what a reader finds."""
    read = read_log(path)
    log, found = FeedbackLog.open(path)
    log.close()
    assert found == read
    return found


def model(batches: Sequence[Sequence[Record]]) -> list[Submission]:
    """What is left of ``batches``, numbered, by applying one after the other."""
    left: list[Submission] = []
    number = 0
    for record in (record for batch in batches for record in batch):
        number += 1
        if isinstance(record, Submission):
            left.append(replace(record, sequence=number))
        if not isinstance(record, Removal):
            continue
        limit = float("-inf") if record.before is None else record.before
        left = [s for s in left if s.key not in record.keys and s.time >= limit]
    return left


def test_what_was_appended_is_read_in_order_and_numbered(path: Path) -> None:
    write(path, [ONE], [TWO, replace(ONE, key="c")])
    found = content(path)
    assert [(s.sequence, s.key) for s in found.submissions] == [(1, "a"), (2, "b"), (3, "c")]
    assert found.sequence == 3
    assert found.submissions[1] == replace(TWO, sequence=2)
    assert found.judgements[:3] == [
        Judgement("the cat", "p1", 1.0, "address:::1", 10.0),
        Judgement("the dog", "p2", 0.5, "address:::1", 10.0),
        Judgement("the cat", "p3", 2.0, "key:abc", 20.0),
    ]


@given(appends)
def test_it_holds_what_is_left_of_all_whole_appends(batches: list[list[Record]]) -> None:
    written: list[list[Record]] = []
    with quick_path() as path:
        log, _ = FeedbackLog.open(path)
        for batch in batches:
            left = model([*written, batch])
            keys = [(s.client, s.key) for s in model([*written, *[[r] for r in batch]])]
            before = log.sequence
            try:
                numbered = log.append(batch)
            except FieldError:
                assert has_key_twice([*written, batch])
                assert log.sequence == before
                continue
            written.append(batch)
            assert [r.sequence for r in numbered] == [*range(before + 1, log.sequence + 1)]
            assert list(read_log(path).submissions) == left
            assert len(set(keys)) == len(keys)
        log.close()
        found = content(path)
        assert list(found.submissions) == model(written)
        assert [replace(r, sequence=0) for r in found.records] == [r for b in written for r in b]


def has_key_twice(batches: Sequence[Sequence[Record]]) -> bool:
    """Whether at any moment a client's key stands for two submissions that are left."""
    done: list[Record] = []
    for record in (record for batch in batches for record in batch):
        done.append(record)
        keys = [(s.client, s.key) for s in model([done])]
        if len(set(keys)) < len(keys):
            return True
    return False


def test_a_clients_key_stands_for_one_submission_until_it_is_taken_back(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    with pytest.raises(FieldError, match="Idempotency-Key"):
        log.append([TWO, ONE])
    assert [s.key for s in read_log(path).submissions] == ["a"]
    log.append([replace(ONE, client="another"), Removal(40.0, keys=("a",)), ONE])
    log.close()
    assert [(s.sequence, s.client) for s in content(path).submissions] == [(4, ONE.client)]


def test_a_log_keeps_its_id_and_another_has_another(path: Path, tmp_path: Path) -> None:
    write(path)
    first = content(path).id
    write(path, [ONE])
    assert content(path).id == first
    assert len(first) == 32
    write(tmp_path / "other.log")
    assert read_log(tmp_path / "other.log").id != first


def test_the_log_is_for_its_owner_alone_and_one_plain_file_when_it_is_closed(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    assert log.bytes == sum(f.stat().st_size for f in (path, path.with_name("feedback.log-wal")))
    log.close()
    assert {file.name for file in path.parent.iterdir()} == {"feedback.log", "feedback.log.lock"}
    assert path.read_bytes()[18:20] == b"\x01\x01"  # not in WAL mode: it can be read where it is
    assert len(read_log(path).submissions) == 1


def test_removals_take_back_what_was_before_them_by_key_or_time(path: Path) -> None:
    later = replace(ONE, time=30.0)
    write(path, [ONE, TWO], [Removal(40.0, keys=("a",))], [later])
    assert content(path).submissions == (replace(TWO, sequence=2), replace(later, sequence=4))
    write(path, [Removal(50.0, before=30.0)])
    assert content(path).submissions == (replace(later, sequence=4),)
    assert content(path).sequence == 5


def test_the_last_limits_noted_hold_and_it_is_known_what_held_before(path: Path) -> None:
    write(path, [ONE])
    assert content(path).limits == Limits(1, 10.0)
    write(path, [LimitsChange(1.0, Limits(2, 3.5))], [TWO], [LimitsChange(2.0, Limits(3, 1.0))])
    found = content(path)
    assert found.limits == Limits(3, 1.0)
    assert [found.up_to(n).limits for n in range(5)] == [
        Limits(), Limits(), Limits(2, 3.5), Limits(2, 3.5), Limits(3, 1.0),
    ]  # fmt: skip
    assert [s.sequence for s in found.submissions] == [1, 3]


def test_what_it_held_before_is_there_though_it_was_taken_back_since(path: Path) -> None:
    write(path, [ONE], [Removal(40.0, keys=("a",))], [TWO])
    found = content(path)
    assert [s.key for s in found.submissions] == ["b"]
    assert [s.key for s in found.up_to(1).submissions] == ["a"]
    assert found.up_to(2).submissions == ()
    assert (found.up_to(2).sequence, found.up_to(0).sequence) == (2, 0)


def test_it_adds_up_by_the_limits_it_notes(path: Path) -> None:
    cat = ("the cat", "p1")
    write(path, [LimitsChange(1.0, Limits(2, 0.5))], [ONE])
    assert dict(content(path).aggregate().weights()) == {}
    write(path, [replace(ONE, client="another")])
    assert dict(content(path).aggregate().weights()) == {cat: 1, ("the dog", "p2"): 1}
    write(path, [LimitsChange(1.0, Limits(1, 4.0))])
    assert content(path).aggregate().weight(cat) == 2


# Other files, and damage.


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


# Whoever dies, and whoever else comes.


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


@pytest.mark.parametrize("name", ["missing/feedback.log", "."])
def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FieldError, match="cannot open") as caught:
        FeedbackLog.open(tmp_path / name)
    assert caught.value.field == "feedback"
    with pytest.raises(OSError, match=r"feedback\.log|directory"):
        read_log(tmp_path / name)


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
