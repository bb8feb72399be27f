"""A feedback log that another process writes: each record is learnt once, and as its writer counts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FeedbackCorrupt, FeedbackNotKept
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.followed_log import FollowedLog
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.feedback.state import FeedbackState
from tests.feedback.logs import quick_path

LIMITS = Limits(2, 10.0)
WRITES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(["p", "q"])),
        st.integers(0, 6).map(lambda number: number),
    ),
    max_size=8,
)


@given(WRITES, st.sets(st.integers(0, 8)))
def test_a_follower_judges_as_the_writer_does(
    writes: list[tuple[str, str] | int], looks: set[int]
) -> None:
    with quick_path() as path:
        written, _ = FeedbackLog.open(path)
        writer = FeedbackState(written, LIMITS)
        log, _ = FollowedLog.open(path)
        follower = FeedbackState(log, LIMITS)
        told: dict[tuple[str, str], float] = {}
        for number, one in enumerate(writes):
            request = (
                Removal(1.0, (f"k{one}",))
                if isinstance(one, int)
                else Submission(one[0], 1.0, f"k{number}", (Pair("a fox", one[1], 1.0),))
            )
            writer.commit([request])
            if number in looks:
                _look(log, follower, told)
        _look(log, follower, told)
        assert log.new() == []
        assert follower.counts == writer.counts
        left = {(one.query, one.passage): one.weight for one in writer.changes()}
        assert {key: weight for key, weight in told.items() if weight} == left
        log.close()
        written.close()


def _look(log: FollowedLog, state: FeedbackState, told: dict[tuple[str, str], float]) -> None:
    for record in log.new():
        told.update({(c.query, c.passage): c.weight for c in state.follow(record)})


def test_a_log_that_is_followed_is_not_written(tmp_path: Path) -> None:
    FeedbackLog.open(tmp_path / "f.log")[0].close()
    log, content = FollowedLog.open(tmp_path / "f.log")
    assert (content.records, log.sequence) == ((), 0)
    with pytest.raises(FeedbackNotKept, match="another process"):
        log.append([Removal(1.0)])
    log.close()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    written, _ = FeedbackLog.open(tmp_path / "f.log")
    log, _ = FollowedLog.open(tmp_path / "f.log")
    written.append([Submission("c", 1.0, "k", (Pair("a", "p", 1.0),))])
    written._db.execute("UPDATE records SET time = 2")
    with pytest.raises(FeedbackCorrupt, match="damaged"):
        log.new()
    log.close()
    written.close()
