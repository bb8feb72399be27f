"""The feedback log: what was appended is there, and what is left of it by removals and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import Judgement, LimitsChange, Pair, Record, Removal, Submission
from tests.feedback.log.written import ONE, TWO, content, write
from tests.feedback.logs import quick_path

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
