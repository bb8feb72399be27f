"""What these tests write into a log, and what is found in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.records import LogContent, Pair, Record, Submission

ONE = Submission("address:::1", 10.0, "a", (Pair("the cat", "p1", 1.0), Pair("the dog", "p2", 0.5)))
TWO = Submission("key:abc", 20.0, "b", (Pair("the cat", "p3", 2.0),), "digest", (1, 4))


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
