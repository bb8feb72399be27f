"""What another process takes as feedback, learnt here: also that a text has changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from lurcher.feedback.aggregation import Limits
from lurcher.feedback.followed_log import FollowedLog
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.online import Change
from lurcher.feedback.records import Pair, Submission
from lurcher.feedback.state import FeedbackState
from lurcher.server.learning import Learning

LIMITS = Limits(1, 10.0)


def test_pairs_of_changed_texts_count_no_more(tmp_path: Path) -> None:
    told: dict[str, float] = {}

    async def learn(changes: Sequence[Change]) -> None:
        told.update({one.passage: one.weight for one in changes})

    async def until(wanted: dict[str, float]) -> None:
        async with asyncio.timeout(30):
            while told != wanted:
                await asyncio.sleep(0.01)

    async def story() -> None:
        written, _ = FeedbackLog.open(tmp_path / "f.log")
        writer = FeedbackState(written, LIMITS)
        log, _ = FollowedLog.open(tmp_path / "f.log")
        learning = Learning(FeedbackState(log, LIMITS), log, learn)
        pairs = (Pair("a fox", "p", 1.0), Pair("a fox", "q", 1.0))
        writer.commit([Submission("c", 1.0, "k", pairs)])
        await until({"p": 1.0, "q": 1.0})
        learning.forget({"p", "unknown"})
        await until({"p": 0.0, "q": 1.0})
        assert learning.counted == 1
        writer.commit([Submission("c", 2.0, "l", (Pair("a fox", "p", 1.0),))])
        await until({"p": 1.0, "q": 1.0})
        await learning.stop()
        written.close()

    asyncio.run(story())
