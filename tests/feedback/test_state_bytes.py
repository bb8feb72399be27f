"""How the size of the log bounds what is taken, and what does not make it grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FeedbackNotKept
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.feedback.state import FeedbackState, Outcome, Receipt
from tests.feedback.logs import memory_log

LONG = Pair("how does bread rise " * 1_000, "a", 1.0)


def given(key: str, pair: Pair = LONG) -> Submission:
    return Submission("key:one", 5.0, key, (pair,))


def test_beyond_so_many_bytes_nothing_is_taken_but_removals_are(tmp_path: Path) -> None:
    log, _ = FeedbackLog.open(tmp_path / "feedback.log")
    state = FeedbackState(log, Limits(1, 10.0), most_bytes=100_000)
    answers = [state.commit([given(str(number))])[0][0].answer for number in range(20)]
    taken = [answer for answer in answers if isinstance(answer, Receipt)]
    assert 0 < len(taken) < 20
    assert isinstance(answers[-1], FeedbackNotKept)
    assert "feedback_bytes" in str(answers[-1])
    assert log.bytes < 200_000
    assert state.commit([given("0")])[0][0].repeated
    ((removed,), _) = state.commit([Removal(9.0, before=9.0)])
    assert removed.answer == len(taken)
    log.close()


@pytest.mark.parametrize(
    "removal", [Removal(9.0, ("other",)), Removal(9.0, before=5.0), Removal(9.0, ("other",), 1.0)]
)
def test_a_removal_of_nothing_is_not_written(tmp_path: Path, removal: Removal) -> None:
    log, _ = FeedbackLog.open(tmp_path / "feedback.log")
    state = FeedbackState(log, Limits(1, 10.0))
    state.commit([given("one")])
    for _ in range(3):
        assert state.commit([removal])[0] == [Outcome(0)]
    log.close()
    assert read_log(tmp_path / "feedback.log").sequence == 1


def test_a_removal_of_what_came_with_it_is_written() -> None:
    state = FeedbackState(memory_log(), Limits(1, 10.0))
    outcomes, _ = state.commit([given("one"), Removal(9.0, ("one",))])
    assert outcomes[1].answer == 1
    assert state.log.sequence == 2
