"""What writes one shard of a served cluster; its replicas follow what is written."""

from __future__ import annotations

from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from lurcher.cluster.cluster_file import ClusterFile, check_bundle
from lurcher.cluster.messages import ToWrite, Wrote
from lurcher.errors import LurcherError, NotReady
from lurcher.index_builder.edit.requests import Receipt
from lurcher.index_builder.edit.writer import Writer
from lurcher.server.settings import Settings
from lurcher.server.write_metrics import WriteMetrics
from lurcher.server.writing import WriteQueue

_log = structlog.get_logger()


class ShardWriter:
    """Takes the writes of one shard; make it where an event loop runs."""

    def __init__(self, folder: Path, cluster: ClusterFile, number: int, settings: Settings) -> None:
        """Open shard ``number`` of ``cluster`` in ``folder``, with all that its log has.

        Of ``settings``, those count that are about writes. Raises FieldError where another process writes it,
        BundleError, WalCorrupt, ModelError.
        """
        entry = cluster.shards[number]
        check_bundle(folder, cluster, entry)
        self._fingerprint = cluster.fingerprint
        self._writer = Writer.open(
            folder / entry.path, check_hashes=settings.check_hashes, ranker_model=settings.ranker_model
        )  # fmt: skip
        for line in self._writer.torn:
            _log.warning(line)
        self._queue = WriteQueue(
            self._writer, None, settings.max_waiting, settings.max_queries,
            WriteMetrics(CollectorRegistry()), busy=lambda: False, share=settings.write_share,
        )  # fmt: skip

    async def answer(self, request: ToWrite) -> Wrote:
        """What became of ``request``; nothing is written for another version."""
        outcome: Receipt | LurcherError
        try:
            outcome = await self._outcome(request)
        except LurcherError as error:
            outcome = error
        before = request.until == "check" and self._writer.has_done(request.write)
        return Wrote(outcome, self._writer.bundle.rows.passages, before)

    async def _outcome(self, request: ToWrite) -> Receipt:
        if request.fingerprint != self._fingerprint:
            raise NotReady("another version of the collection is served here; nothing was changed")
        if request.until == "check":
            return await self._queue.check(request.write)
        return await self._queue.submit(request.write, request.until == "visible")

    async def stop(self) -> None:
        """Finish what waits, write all to the disk, and let another process write."""
        await self._queue.stop()
