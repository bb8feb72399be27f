"""Opening what a server serves: a bundle, and what it has learnt; or an encoder alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.model_cache import ModelCache
from lurcher.errors import FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.followed_log import FollowedLog
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.replay import open_state
from lurcher.feedback.state import FeedbackState
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.follower import Follower
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.engines import EngineName
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.settings import Settings
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
        reason = f"{folder} cannot be the folder of several collections' feedback"
        raise FieldError("feedback", f"{reason}: {error.strerror}") from error
    return folder / f"{name}.log"


def opened(
    path: Path, settings: Settings, open_snapshot: OpenSnapshot, cache: ModelCache, writes: bool
) -> tuple[Snapshot | EncoderAlone, Writer | Follower | None]:
    """Return the bundle at ``path`` after it has answered a query, and what changes it; or an encoder alone.

    It is followed unless this process ``writes``. What encodes passages is from ``cache``, as
    ``open_snapshot`` may take it. Raises BundleError, ModelError, WalCorrupt, or FieldError if another
    process writes it.
    """
    threads = thread_count(settings.threads)
    if settings.encoder_only:
        alone = EncoderAlone(path, threads, settings.engine, check_hashes=settings.check_hashes)
        alone.warm_up()
        return alone, None
    if not settings.writable and not settings.follow_ms:
        bundle = Bundle.open(path, settings.check_hashes)
        return _answering(bundle, settings, open_snapshot), None
    load_encoder = partial(
        PassageEncoder.load, threads=1, cache=cache, ranker_model=settings.ranker_model
    )
    living: Writer | Follower
    if settings.writable and writes:
        living = writer = Writer.open(
            path, check_hashes=settings.check_hashes, load_encoder=load_encoder
        )
        for line in writer.torn:
            _log.warning(line)
    else:
        living = Follower.open(path, check_hashes=settings.check_hashes, load_encoder=load_encoder)
    try:
        return _answering(living.reader(), settings, open_snapshot), living
    except BaseException:
        living.abandon()
        raise


def _answering(bundle: Bundle, settings: Settings, open_snapshot: OpenSnapshot) -> Snapshot:
    """The snapshot of ``bundle``, which is closed should that fail."""
    try:
        snapshot = open_snapshot(bundle, thread_count(settings.threads), settings.engine)
        snapshot.warm_up()
    except BaseException:
        bundle.close()
        raise
    return snapshot


def feedback_state(log: Path, bundle: Bundle, settings: Settings, writes: bool) -> FeedbackState:
    """Return the state of the feedback in ``log`` beside ``bundle``.

    Unless it ``writes``, another process writes the log. Raises as ``open_state``.
    """
    limits = Limits(settings.feedback_clients, settings.feedback_client_weight)
    return open_state(
        log, bundle, limits, settings.feedback_pairs,
        FeedbackLog.open if writes else FollowedLog.open, settings.feedback_bytes,
    )  # fmt: skip
