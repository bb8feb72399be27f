"""A bundle in service: the snapshot that answers, and what takes feedback and writes, if anything does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.errors import BundleError
from lurcher.feedback.online import Change
from lurcher.feedback.service import FeedbackService, QueueLimits
from lurcher.feedback.state import FeedbackState, Receipt
from lurcher.index_builder.edit.writer import Writer
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission.admission import Admission
from lurcher.server.metrics import Metrics
from lurcher.server.opening import OpenSnapshot, opened
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings
from lurcher.server.writing import WriteQueue


class ServedBundle:
    """Made by ``open``. What it shares with others of the server: ``metrics`` and ``admission``."""

    feedback: FeedbackService | None = None
    writes: WriteQueue | None = None

    def __init__(
        self, snapshot: Snapshot | EncoderAlone, state: FeedbackState | None, writer: Writer | None,
        settings: Settings, metrics: Metrics, admission: Admission,
    ) -> None:  # fmt: skip
        self.serving = Serving(snapshot, settings, metrics, admission)
        self._metrics = metrics
        self._moving = asyncio.Lock()
        if state is not None:
            limits = QueueLimits(
                settings.max_waiting, settings.max_queries, settings.timeout_ms / 1_000
            )
            self.feedback = FeedbackService(state, self._learn, limits, self._count_pairs)
        if writer is not None:
            self.writes = WriteQueue(
                writer, self.move_to, settings.max_waiting, settings.max_queries
            )

    @classmethod
    async def open(
        cls, path: Path, log: Path | None, settings: Settings, metrics: Metrics,
        admission: Admission, open_snapshot: OpenSnapshot,
    ) -> ServedBundle:  # fmt: skip
        """Open the bundle at ``path``, with its feedback's ``log`` if it has one, and ask it a query.

        Raises BundleError, ModelError, or FieldError if another process has what this one needs.
        """
        try:
            parts = await asyncio.to_thread(opened, path, log, settings, open_snapshot)
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or path
            raise BundleError(where, error.strerror or str(error)) from error
        return cls(*parts, settings, metrics, admission)

    @property
    def passages(self) -> int:
        """How many passages it has."""
        return self.serving.passages.count if self.serving.has_corpus else 0

    async def move_to(self, bundle: Bundle) -> None:
        """Answer requests that come from now on from ``bundle``, another snapshot of that in service.

        The one before is closed when its last request is answered. Should this fail, ``bundle`` is closed and
        all is as it was. Raises NotReady, BundleError or ModelError.
        """
        async with self._moving:
            before = self.serving
            try:
                self.serving = await before.successor(bundle)
            except BaseException:
                bundle.close()
                raise
            before.retire()

    async def stop_taking(self) -> None:
        """Take no more feedback and writes, and finish those that wait."""
        if self.feedback is not None:
            await self.feedback.stop()
        if self.writes is not None:
            await self.writes.stop()

    async def _learn(self, changes: Sequence[Change]) -> None:
        """As ``Serving.learn`` of what is in service."""
        with self.serving as serving:
            await serving.learn(changes)

    def _count_pairs(self, receipt: Receipt) -> None:
        self._metrics.feedback_pairs.labels("accepted").inc(receipt.accepted)
        self._metrics.feedback_pairs.labels("refused").inc(len(receipt.refused))
