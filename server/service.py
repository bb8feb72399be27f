"""The state of a server: nothing while it loads, then what answers, and what takes feedback and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.errors import BundleError, FieldError, NoCorpus, NotReady
from lurcher.feedback.online import Change
from lurcher.feedback.service import FeedbackService, QueueLimits
from lurcher.feedback.state import Receipt
from lurcher.models.engines import Choice
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.metrics import Metrics
from lurcher.server.opening import OpenSnapshot, opened
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings
from lurcher.server.writing import WriteQueue

_log = structlog.get_logger()


class Service:
    """What the routes use; ``load`` makes it ready."""

    def __init__(self, settings: Settings, open_snapshot: OpenSnapshot = Snapshot) -> None:
        self.settings = settings
        self._open_snapshot = open_snapshot
        self.metrics = Metrics()
        self._serving: Serving | None = None
        self._moving = asyncio.Lock()
        self._feedback: FeedbackService | None = None
        self._writes: WriteQueue | None = None

    async def load(self) -> None:
        """Open the bundle and answer a query with it. Raises BundleError or ModelError."""
        try:
            snapshot, state, writer = await asyncio.to_thread(
                opened, self.settings, self._open_snapshot
            )
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or self.settings.bundle
            raise BundleError(where, error.strerror or str(error)) from error
        serving = Serving(snapshot, self.settings, self.metrics)
        passages = serving.passages.count if serving.has_corpus else 0
        self.metrics.passages.set(passages)
        self.metrics.waiting.set_function(lambda: serving.waiting)  # as all that come after it
        if state is not None:
            settings = self.settings
            limits = QueueLimits(
                settings.max_waiting, settings.max_queries, settings.timeout_ms / 1_000
            )
            feedback = FeedbackService(state, self._learn, limits, self._count_pairs)
            self.metrics.learnt_pairs.set_function(lambda: feedback.counted)
            self._feedback = feedback
        self._serving = serving
        if writer is not None:
            self._writes = WriteQueue(
                writer, self.move_to, self.settings.max_waiting, self.settings.max_queries
            )
        told = {} if snapshot.engine is None else _told(snapshot.engine)
        _log.info("ready", bundle=serving.bundle, passages=passages, **told)

    async def _learn(self, changes: Sequence[Change]) -> None:
        """As ``Serving.learn`` of what is in service."""
        with self.lease() as serving:
            await serving.learn(changes)

    async def move_to(self, bundle: Bundle) -> None:
        """Answer requests that come from now on from ``bundle``, another snapshot of that in service.

        The one before is closed when its last request is answered. Should this fail, ``bundle`` is closed and
        all is as it was. Raises NotReady, BundleError or ModelError.
        """
        async with self._moving:
            before = self.lease()
            try:
                self._serving = await before.successor(bundle)
            except BaseException:
                bundle.close()
                raise
            self.metrics.passages.set(bundle.passages.count)
            before.retire()

    def _count_pairs(self, receipt: Receipt) -> None:
        self.metrics.feedback_pairs.labels("accepted").inc(receipt.accepted)
        self.metrics.feedback_pairs.labels("refused").inc(len(receipt.refused))

    @property
    def ready(self) -> bool:
        """Whether the bundle has answered a query."""
        return self._serving is not None

    def lease(self) -> Serving:
        """Return the bundle in service, to lease in a `with` block. Raises NotReady or NoCorpus."""
        serving = self.models()
        if not serving.has_corpus:
            raise NoCorpus
        return serving

    def models(self) -> Serving:
        """Return what is in service, for what its models can do without passages. Raises NotReady."""
        if self._serving is None:
            raise NotReady("the bundle is still being loaded")
        return self._serving

    @property
    def writes(self) -> WriteQueue:
        """What takes writes of passages. Raises NotReady."""
        if self._writes is None:
            raise NotReady("the bundle is still being loaded")
        return self._writes

    async def reached(self, sequence: int | None, timeout_ms: int | None) -> None:
        """Wait until searches know write ``sequence``. Raises FieldError, NotReady or DeadlinePassed."""
        if sequence is None or sequence == 0:
            return
        if not self.settings.writable:
            raise FieldError("min_sequence", "this server takes no writes, so it has no sequence")
        limit = self.settings.timeout_ms
        await self.writes.reached(sequence, min(timeout_ms or limit, limit) / 1_000)

    @property
    def feedback(self) -> FeedbackService:
        """What takes feedback. Raises NotReady."""
        if self._feedback is None:
            raise NotReady("the bundle is still being loaded")
        return self._feedback

    async def close(self) -> None:
        """Take no more feedback and queries, finish the current ones, close the bundle."""
        if self._feedback is not None:
            await self._feedback.stop()
        if self._writes is not None:
            await self._writes.stop()
        if self._serving is not None:
            await self._serving.close()


def _told(engine: Choice) -> dict[str, str]:
    return {"engine": engine.name, "engine_reason": engine.reason}
