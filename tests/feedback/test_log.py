"""The feedback log: what was appended is there, whatever happens to its end; damage elsewhere is named."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurcher.feedback.log import (
    FeedbackContent,
    FeedbackLog,
    Given,
    Judgement,
    LimitsNoted,
    Pair,
    Record,
    Removal,
    read_feedback,
)
from lurcher.feedback.tally import Limits
from lurcher.models.errors import FeedbackCorrupt, FieldError

ONE = Given("address:::1", 10.0, "a", (Pair("the cat", "p1", 1.0), Pair("the dog", "p2", 0.5)))
TWO = Given("key:abc", 20.0, "b", (Pair("the cat", "p3", 2.0),), "digest", (1, 4))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
few = st.sampled_from(["a", "b", "c"])
times = st.sampled_from([0.0, 1.5, 2.0, 1e9 + 0.1])
weights = st.floats(0, 1_000, exclude_min=True)
records = st.builds(
    Given,
    texts,
    times,
    few,
    st.lists(st.builds(Pair, texts, texts, weights), max_size=3).map(tuple),
    texts,
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
) | st.builds(Removal, times, st.lists(few, max_size=2).map(tuple), st.none() | times)
records |= st.builds(LimitsNoted, times, st.builds(Limits, st.integers(1, 3), weights))
appends = st.lists(st.lists(records, min_size=1, max_size=3), max_size=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.log"


def write(path: Path, *batches: Sequence[Record]) -> list[int]:
    """Append ``batches``; the size of the file before the first and after each."""
    log, _ = FeedbackLog.open(path)
    sizes = [log.bytes]
    for batch in batches:
        log.append(batch)
        sizes.append(log.bytes)
    log.close()
    return sizes


def content(path: Path) -> FeedbackContent:
    """What a writer finds, which is what a reader finds."""
    read = read_feedback(path)
    log, found = FeedbackLog.open(path)
    log.close()
    assert found == read
    return found


def twin(batches: Sequence[Sequence[Record]]) -> list[Given]:
    """What is left of ``batches``, numbered, by applying one after the other."""
    left: list[Given] = []
    number = 0
    for record in (record for batch in batches for record in batch):
        number += 1
        if isinstance(record, Given):
            left.append(replace(record, sequence=number))
        if not isinstance(record, Removal):
            continue
        limit = float("-inf") if record.before is None else record.before
        left = [g for g in left if g.key not in record.keys and g.time >= limit]
    return left


def test_what_was_appended_is_read_in_order_and_numbered(path: Path) -> None:
    write(path, [ONE], [TWO, replace(ONE, key="c")])
    found = content(path)
    assert [(g.sequence, g.key) for g in found.given] == [(1, "a"), (2, "b"), (3, "c")]
    assert found.sequence == 3
    assert found.given[1] == replace(TWO, sequence=2)
    assert found.judgements[:3] == [
        Judgement("the cat", "p1", 1.0, "address:::1", 10.0),
        Judgement("the dog", "p2", 0.5, "address:::1", 10.0),
        Judgement("the cat", "p3", 2.0, "key:abc", 20.0),
    ]


def test_a_log_keeps_its_id_and_another_has_another(path: Path, tmp_path: Path) -> None:
    write(path)
    first = content(path).id
    write(path, [ONE])
    assert content(path).id == first
    assert len(first) == 32
    write(tmp_path / "other.log")
    assert read_feedback(tmp_path / "other.log").id != first


def test_the_log_is_for_its_owner_alone(path: Path) -> None:
    write(path)
    assert path.stat().st_mode & 0o077 == 0


def test_removals_take_back_what_was_before_them_by_key_or_time(path: Path) -> None:
    later = replace(ONE, time=30.0)
    write(path, [ONE, TWO], [Removal(40.0, keys=("a",))], [later])
    assert content(path).given == (replace(TWO, sequence=2), replace(later, sequence=4))
    write(path, [Removal(50.0, before=30.0)])
    assert content(path).given == (replace(later, sequence=4),)
    assert content(path).sequence == 5


@settings(deadline=None, max_examples=60)
@given(appends, st.data())
def test_cut_anywhere_it_holds_a_beginning_of_whole_appends(
    batches: list[list[Record]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "feedback.log"
        sizes = write(path, *batches)
        raw = path.read_bytes()
        assert len(raw) == sizes[-1]
        cut = data.draw(st.integers(sizes[0], len(raw)))
        tail = data.draw(st.sampled_from([b"", b"\x00" * 50, b"xyz", b"xyz\x00"]))
        path.write_bytes(raw[:cut] + tail)
        whole = sum(size <= cut for size in sizes) - 1
        found = content(path)
        assert list(found.given) == twin(batches[:whole])
        assert found.sequence == sum(map(len, batches[:whole]))
        assert path.stat().st_size == sizes[whole]  # and the writer has cut the rest off
        rest = (raw[sizes[whole] : cut] + tail).rstrip(b"\x00")
        kept = path.with_name("feedback.log.cut")
        assert (kept.read_bytes() if kept.exists() else b"") == (rest and rest + b"\n")
        write(path, [ONE])
        assert content(path).given[-1] == replace(ONE, sequence=found.sequence + 1)


def test_what_is_cut_off_is_added_to_what_was_and_nobody_elses_to_read(path: Path) -> None:
    write(path)
    for torn in (b'0123abcd {"rec', b"more"):
        path.write_bytes(path.read_bytes() + torn)
        write(path)
    kept = path.with_name("feedback.log.cut")
    assert kept.read_bytes() == b'0123abcd {"rec\nmore\n'
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("zeros", [0, 3, 300])
@pytest.mark.parametrize("cut", [0, 1, 8, 9, 20, 40, 60])
def test_a_log_whose_making_was_interrupted_is_begun_anew(path: Path, cut: int, zeros: int) -> None:
    size = write(path)[0]
    assert cut < size
    path.write_bytes(path.read_bytes()[:cut] + b"\0" * zeros)
    with pytest.raises(FeedbackCorrupt, match="nothing was written to this log yet"):
        read_feedback(path)
    write(path, [ONE])
    assert len(content(path).given) == 1


@pytest.mark.parametrize(
    "raw", [b"a secret key", b"# Notes\n\nmany\n", b"0" * 500, b'{"a": 1}\n', b"00000000 {}\n"]
)
def test_a_file_that_is_no_log_is_refused_and_left_alone(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    for use in (read_feedback, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt, match=r"feedback\.log, line 1: not the first line"):
            use(path)
    assert path.read_bytes() == raw


def test_each_damaged_byte_of_the_middle_is_found_and_the_line_named(path: Path) -> None:
    sizes = write(path, [ONE], [TWO], [ONE])
    raw = path.read_bytes()
    for at in range(sizes[1], sizes[2]):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(FeedbackCorrupt) as caught:
            read_feedback(path)
        assert (caught.value.file, caught.value.line) == (path, 3)
        assert "delete this line" in str(caught.value)
    damaged = path.read_bytes()
    with pytest.raises(FeedbackCorrupt):
        FeedbackLog.open(path)
    assert path.read_bytes() == damaged
    lines = raw.splitlines(keepends=True)  # what the message advises
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert [g.sequence for g in content(path).given] == [1, 3]


def refused(path: Path, line: int) -> None:
    """Check that nobody reads the log at ``path`` because of its ``line``, and that it stays as it is."""
    damaged = path.read_bytes()
    for use in (read_feedback, FeedbackLog.open):
        with pytest.raises(FeedbackCorrupt) as caught:
            use(path)
        assert caught.value.line == line
    assert path.read_bytes() == damaged
    assert not path.with_name("feedback.log.cut").exists()


def test_each_damaged_byte_of_the_end_is_found_too_as_it_was_once_synced(path: Path) -> None:
    sizes = write(path, [ONE], [TWO])
    raw = path.read_bytes()
    for at in range(sizes[1], sizes[2]):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        refused(path, 3)
    for tail in (b"xyz\n", b"\n", b"\0\0\n", b"\0\0abc\n"):
        path.write_bytes(raw + tail)
        refused(path, 4)


def test_two_damaged_lines_at_the_end_are_not_taken_for_unfinished_ones(path: Path) -> None:
    sizes = write(path, [ONE], [TWO], [ONE])
    raw = bytearray(path.read_bytes())
    raw[sizes[1] + 20] ^= 1
    raw[sizes[2] + 20] ^= 1
    path.write_bytes(raw)
    refused(path, 3)
    path.write_bytes(raw + b'0123abcd {"rec')  # nor is one before what is unfinished
    refused(path, 3)


def test_the_last_limits_noted_hold_and_it_is_known_what_held_before(path: Path) -> None:
    write(path, [ONE])
    assert content(path).limits == Limits(1, 10.0)
    write(path, [LimitsNoted(1.0, Limits(2, 3.5))], [TWO], [LimitsNoted(2.0, Limits(3, 1.0))])
    found = content(path)
    assert found.limits == Limits(3, 1.0)
    assert [found.until(n).limits for n in range(5)] == [
        Limits(), Limits(), Limits(2, 3.5), Limits(2, 3.5), Limits(3, 1.0),
    ]  # fmt: skip
    assert [g.sequence for g in found.given] == [1, 3]


def test_what_it_held_before_is_there_though_it_was_taken_back_since(path: Path) -> None:
    write(path, [ONE], [Removal(40.0, keys=("a",))], [TWO])
    found = content(path)
    assert [g.key for g in found.given] == ["b"]
    assert [g.key for g in found.until(1).given] == ["a"]
    assert found.until(2).given == ()
    assert (found.until(2).sequence, found.until(0).sequence) == (2, 0)


def test_it_adds_up_by_the_limits_it_notes(path: Path) -> None:
    cat = ("the cat", "p1")
    write(path, [LimitsNoted(1.0, Limits(2, 0.5))], [ONE])
    assert dict(content(path).tally().weights()) == {}
    write(path, [replace(ONE, client="another")])
    assert dict(content(path).tally().weights()) == {cat: 1, ("the dog", "p2"): 1}
    write(path, [LimitsNoted(1.0, Limits(1, 4.0))])
    assert content(path).tally().weight(cat) == 2


def test_two_logs_in_one_file_are_refused(path: Path, tmp_path: Path) -> None:
    write(path, [ONE])
    write(tmp_path / "other.log", [ONE])
    other = (tmp_path / "other.log").read_bytes()
    path.write_bytes(path.read_bytes() + other)
    with pytest.raises(FeedbackCorrupt, match="line 3: not a line of records"):
        read_feedback(path)
    own = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*own[:2], own[3]]))
    with pytest.raises(FeedbackCorrupt, match="number 1 after 1"):
        read_feedback(path)


def test_a_later_format_is_named(path: Path) -> None:
    write(path)
    text = b'{"format":2,"id":"0"}'
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    with pytest.raises(FeedbackCorrupt, match="format 2, this version reads 1"):
        read_feedback(path)


def test_only_one_writes_but_others_may_read(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])
    with pytest.raises(FieldError, match="another process writes") as caught:
        FeedbackLog.open(path)
    assert caught.value.field == "feedback"
    assert len(read_feedback(path).given) == 1
    log.close()
    write(path, [TWO])


@pytest.mark.parametrize("name", ["missing/feedback.log", "."])
def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FieldError, match="cannot open") as caught:
        FeedbackLog.open(tmp_path / name)
    assert caught.value.field == "feedback"
    with pytest.raises(OSError, match=r"feedback\.log|directory"):
        read_feedback(tmp_path / name)


# A limit on the size of any one file fails a write as a full disk does: a part is written first.
LIMITED = """
import resource, sys
from pathlib import Path
from lurcher.feedback.log import FeedbackLog, Given, Pair
log, _ = FeedbackLog.open(Path(sys.argv[1]))
small = [Given("c", 1.0, "small", (Pair("q", "p", 1.0),))]
large = [Given("c", 1.0, "large", (Pair("q" * 5_000, "p", 1.0),))]
log.append(small)
resource.setrlimit(resource.RLIMIT_FSIZE, (log.bytes + 1_000, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        log.append(large)
    except OSError as error:
        print(error.errno)
    log.append(small)
"""


def test_a_full_disk_leaves_nothing_of_the_append_and_a_log_of_use(path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(errno.EFBIG)] * 2
    assert [(g.key, g.sequence) for g in content(path).given] == [
        ("small", 1),
        ("small", 2),
        ("small", 3),
    ]


def test_a_disk_that_fails_even_to_cut_is_cut_before_the_next_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = FeedbackLog.open(path)
    log.append([ONE])

    def fails(_: Any = None) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", fails)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                log.append([TWO])
            assert path.stat().st_size == log.bytes  # readers see nothing of it either
    log.append([replace(TWO, key="again")])
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", fails)
        broken.setattr(log, "_cut", fails)
        with pytest.raises(OSError, match="Input/output error"):
            log.append([TWO])
        assert path.stat().st_size > log.bytes
    log.append([replace(ONE, key="last")])
    log.close()
    found = [(g.key, g.sequence) for g in content(path).given]
    assert found == [("a", 1), ("again", 2), ("last", 3)]
