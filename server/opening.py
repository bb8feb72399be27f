"""Opening what a server serves: a bundle, and what it has learnt; or an encoder alone."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.replay import open_state
from lurcher.feedback.state import FeedbackState
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.engines import EngineName
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.settings import Settings
from lurcher.threads import thread_count

_log = structlog.get_logger()

OpenSnapshot = Callable[[Bundle, int, EngineName], Snapshot]


def opened(
    settings: Settings, open_snapshot: OpenSnapshot
) -> tuple[Snapshot | EncoderAlone, FeedbackState | None, Writer | None]:
    """Return what ``settings`` name, after it has answered a query, its feedback's state and its writer.

    Raises BundleError, ModelError, FeedbackCorrupt, WalCorrupt, or FieldError if another process writes it.
    """
    threads = thread_count(settings.threads)
    if settings.encoder_only:
        alone = EncoderAlone(
            settings.bundle, threads, settings.engine, check_hashes=settings.check_hashes
        )
        alone.warm_up()
        return alone, None, None
    if not settings.writable:
        bundle = Bundle.open(settings.bundle, settings.check_hashes)
        return *_answering(settings, bundle, open_snapshot), None
    writer = Writer.open(settings.bundle, check_hashes=settings.check_hashes)
    for line in writer.torn:
        _log.warning(line)
    try:
        return *_answering(settings, writer.reader(), open_snapshot), writer
    except BaseException:
        writer.abandon()
        raise


def _answering(
    settings: Settings, bundle: Bundle, open_snapshot: OpenSnapshot
) -> tuple[Snapshot, FeedbackState | None]:
    threads = thread_count(settings.threads)
    snapshot = open_snapshot(bundle, threads, settings.engine)
    snapshot.warm_up()
    if settings.feedback is None:
        return snapshot, None
    limits = Limits(settings.feedback_clients, settings.feedback_client_weight)
    state = open_state(
        settings.feedback, bundle, limits, settings.feedback_pairs,
        most_bytes=settings.feedback_bytes,
    )  # fmt: skip
    try:
        snapshot.learn(state.changes())
    except BaseException:
        state.log.close()
        raise
    return snapshot, state
