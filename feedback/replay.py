"""A server's start: the log read, and its judgements added up beside those that the bundle has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from lurcher.bundle.bundle import NO_VECTORS, Bundle
from lurcher.errors import FeedbackNotKept, FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, Log
from lurcher.feedback.records import LimitsChange, LogContent
from lurcher.feedback.state import MOST_BYTES, FeedbackState, FoldedLog

_log = structlog.get_logger()


def open_state(
    path: Path, bundle: Bundle, limits: Limits, most_pairs: int,
    open_log: Callable[[Path], tuple[Log, LogContent]] = FeedbackLog.open,
    most_bytes: int = MOST_BYTES,
) -> FeedbackState:  # fmt: skip
    """The state of the log at ``path`` beside ``bundle``; close its ``log`` in the end.

    Notes ``limits`` in the log where they are others than before. Raises FieldError or FeedbackCorrupt
    where the log cannot be used, FieldError too for a bundle that cannot learn.
    """
    encoder = bundle.manifest.encoder
    if encoder is None:
        raise FieldError("feedback", f"this bundle cannot learn: {NO_VECTORS}")
    if encoder.similarity != "cosine":
        reason = "this bundle cannot learn: its encoder compares by the dot product, not the cosine"
        raise FieldError("feedback", reason)
    log, content = open_log(path)
    try:
        neighbours = bundle.manifest.neighbours
        folded = neighbours.logs.get(log.id, 0) if neighbours is not None else 0
        # Where the end of the log was lost, what comes now must not have the numbers of what was folded.
        log.sequence = max(log.sequence, folded)
        _note(log, content, limits)
        counting = content.of_these_texts(bundle.since)
        weights = dict(counting.up_to(folded).aggregate().weights())
        state = FeedbackState(log, limits, most_pairs, FoldedLog(folded, weights), most_bytes)
        submissions = counting.submissions
        judged = {pair.passage for one in submissions for pair in one.pairs}
        known = bundle.passages.rows_of(list(judged)).keys()
        for one in submissions:
            state.add(replace(one, pairs=tuple(p for p in one.pairs if p.passage in known)))
    except BaseException:
        log.close()
        raise
    _log.info(
        "feedback", file=str(log.path), pairs=state.counts.pairs, counted=state.counts.counted,
        of_unknown_passages=sum(p.passage not in known for one in submissions for p in one.pairs),
        of_other_texts=len(content.judgements) - len(counting.judgements),
        in_the_bundle=sum(one.sequence <= folded for one in submissions),
    )  # fmt: skip
    return state


def _note(log: Log, content: LogContent, limits: Limits) -> None:
    """Let ``log`` say that it is counted by ``limits``, so that `lurcher adapt` does too."""
    if limits == content.limits:
        return
    try:
        log.append([LimitsChange(time.time(), limits)])
    except FeedbackNotKept as error:
        raise FieldError("feedback", str(error)) from error
