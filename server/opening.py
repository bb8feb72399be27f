"""Opening what a server serves: a bundle, and what it has learnt; or an encoder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.replay import open_state
from lurcher.feedback.state import FeedbackState
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.engines import EngineName
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.settings import Settings
from lurcher.server.sources import shown
from lurcher.threads import thread_count

_log = structlog.get_logger()

OpenSnapshot = Callable[[Bundle, int, EngineName], Snapshot]


def log_of(settings: Settings, name: str) -> Path | None:
    """Return the file that stores the feedback of collection ``name``, None if the server takes none.

    It is NAME.log in a folder, which is made, if there may be several. Raises FieldError.
    """
    folder = settings.feedback
    if folder is None or not settings.has_several:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{shown(str(folder))} cannot be the folder of several collections' feedback"
        raise FieldError("feedback", f"{reason}: {error.strerror}") from error
    return folder / f"{name}.log"


def opened(
    path: Path, log: Path | None, settings: Settings, open_snapshot: OpenSnapshot
) -> tuple[Snapshot | EncoderAlone, FeedbackState | None, Writer | None]:
    """Return the bundle at ``path`` after it has answered a query, its feedback's state and its writer.

    ``log`` stores its feedback, if it takes any. With ``encoder_only`` it is an encoder alone.

    Raises BundleError, ModelError, FeedbackCorrupt, WalCorrupt, or FieldError if another process writes it.
    """
    threads = thread_count(settings.threads)
    if settings.encoder_only:
        alone = EncoderAlone(path, threads, settings.engine, check_hashes=settings.check_hashes)
        alone.warm_up()
        return alone, None, None
    if not settings.writable:
        bundle = Bundle.open(path, settings.check_hashes)
        return *_answering(log, settings, bundle, open_snapshot), None
    writer = Writer.open(path, check_hashes=settings.check_hashes)
    for line in writer.torn:
        _log.warning(line)
    try:
        return *_answering(log, settings, writer.reader(), open_snapshot), writer
    except BaseException:
        writer.abandon()
        raise


def _answering(
    log: Path | None, settings: Settings, bundle: Bundle, open_snapshot: OpenSnapshot
) -> tuple[Snapshot, FeedbackState | None]:
    threads = thread_count(settings.threads)
    snapshot = open_snapshot(bundle, threads, settings.engine)
    snapshot.warm_up()
    if log is None:
        return snapshot, None
    limits = Limits(settings.feedback_clients, settings.feedback_client_weight)
    state = open_state(
        log, bundle, limits, settings.feedback_pairs,
        most_bytes=settings.feedback_bytes,
    )  # fmt: skip
    try:
        snapshot.learn(state.changes())
    except BaseException:
        state.log.close()
        raise
    return snapshot, state
