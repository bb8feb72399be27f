"""A bundle in service: the snapshot that answers, what takes feedback and writes, or what follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.model_cache import ModelCache
from lurcher.errors import BundleError
from lurcher.feedback.followed_log import FollowedLog
from lurcher.feedback.online import Change
from lurcher.feedback.service import FeedbackService, QueueLimits
from lurcher.feedback.state import Receipt
from lurcher.index_builder.edit.follower import Follower
from lurcher.index_builder.edit.writer import Writer
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission.admission import Admission
from lurcher.server.following import Following
from lurcher.server.learning import Learning
from lurcher.server.metrics import Metrics
from lurcher.server.opening import OpenSnapshot, feedback_state, opened
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings
from lurcher.server.visible import Visible
from lurcher.server.workers.link import Link
from lurcher.server.writing import WriteQueue


class ServedBundle:
    """Made by ``open``. What it shares with others of the server: ``metrics`` and ``admission``."""

    def __init__(
        self, path: Path, folder: object, snapshot: Snapshot | EncoderAlone,
        living: Writer | Follower | None, settings: Settings, metrics: Metrics, admission: Admission,
        link: Link | None, collection: str,
    ) -> None:  # fmt: skip
        """``folder`` is what tells the folder at ``path`` from another that is put there.

        ``link`` leads to other processes that serve it, of which one writes; None: there are none.
        """
        self.path, self._folder = path, folder
        metrics.expect(collection)
        self.serving = Serving(snapshot, settings, metrics, admission, collection)
        self._settings, self._metrics = settings, metrics
        self._moving = asyncio.Lock()
        self._writes = link is None or link.writes
        self.feedback: FeedbackService | None = None
        self.learning: Learning | None = None
        self.writes: WriteQueue | None = None
        self.following: Following | None = None
        if isinstance(living, Writer):
            self.writes = WriteQueue(
                living, self.move_to, settings.max_waiting, settings.max_queries,
                metrics.writes, lambda: self.serving.leased, settings.write_share,
                self._forget,
            )  # fmt: skip
        elif living is not None:
            self.following = Following(
                living, self.move_to, self._forget_here, settings.follow_ms / 1_000
            )
        if link is not None and self.visible is not None:
            self.visible.tell(partial(link.note, path))

    @classmethod
    async def open(
        cls, path: Path, settings: Settings, metrics: Metrics, admission: Admission,
        open_snapshot: OpenSnapshot, cache: ModelCache, link: Link | None, collection: str,
    ) -> ServedBundle:  # fmt: skip
        """Open the bundle at ``path`` for ``collection`` and ask it a query; see ``opened``.

        Raises BundleError, ModelError, WalCorrupt, or FieldError if another process writes it.
        """
        try:
            folder = await asyncio.to_thread(_folder_at, path)
            writes = link is None or link.writes
            parts = await asyncio.to_thread(opened, path, settings, open_snapshot, cache, writes)
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or path
            raise BundleError(where, error.strerror or str(error)) from error
        return cls(path, folder, *parts, settings, metrics, admission, link, collection)

    async def take_feedback(self, log: Path, *, in_service: bool = False) -> None:
        """Take feedback from now on, stored in ``log``, whose content searches know then.

        ``in_service`` says that there are searches meanwhile, which then get in between. Raises
        FeedbackCorrupt, or FieldError if it cannot be used or the bundle cannot learn.
        """
        settings = self._settings
        with self.serving as serving:
            bundle = serving.snapshot_bundle
            state = await asyncio.to_thread(feedback_state, log, bundle, settings, self._writes)
            try:
                if in_service:
                    await serving.learn(state.changes())
                else:
                    await asyncio.to_thread(serving.snapshot.learn, state.changes())
            except BaseException:
                state.log.close()
                raise
        if isinstance(state.log, FollowedLog):
            self.learning = Learning(state, state.log, self._learn)
            return
        limits = QueueLimits(
            settings.max_waiting, settings.max_queries, settings.timeout_ms / 1_000
        )
        self.feedback = FeedbackService(state, self._learn, limits, self._count_pairs)

    async def stop_feedback(self) -> None:
        """Take no more feedback, finish what waits, and let go of the log."""
        if self.feedback is not None:
            await self.feedback.stop()
            self.feedback = None
        if self.learning is not None:
            await self.learning.stop()
            self.learning = None

    async def _forget(self, passages: Collection[str]) -> None:
        """Let what was judged of ``passages`` count no more. Raises NotReady."""
        if self.feedback is not None:
            await self.feedback.forget(passages)

    def _forget_here(self, passages: Collection[str]) -> None:
        """As ``_forget``, where another process takes feedback and writes."""
        if self.learning is not None:
            self.learning.forget(passages)

    async def is_replaced(self) -> bool:
        """Whether another folder stands at the bundle's path now."""
        found = await asyncio.to_thread(_folder_at, self.path)
        return found is not None and found != self._folder

    async def is_at(self, path: Path) -> bool:
        """Whether its folder stands at ``path`` now."""
        return await asyncio.to_thread(_folder_at, path) == self._folder

    async def refresh(self) -> bool:
        """Go on to the bundle's current generation, and return whether it is another.

        Only what is new in it is opened. Raises BundleError,
        ModelError or NotReady.
        """
        if self.following is not None:
            before = self.serving
            await self.following.look()
            return self.serving is not before
        check = self._settings.check_hashes
        with self.serving as serving:
            bundle = serving.snapshot_bundle
            if await asyncio.to_thread(read_manifest, self.path) == bundle.manifest:
                return False
            await self.move_to(await asyncio.to_thread(bundle.refreshed, check))
        return True

    @property
    def passages(self) -> int:
        """How many passages it has."""
        return self.serving.passages.count if self.serving.has_corpus else 0

    @property
    def learnt_pairs(self) -> int:
        """How many pairs learnt from feedback count in searches."""
        source = self.feedback or self.learning
        return 0 if source is None else source.counted

    @property
    def visible(self) -> Visible | None:
        """What tells which writes searches know; None where the bundle stays as it was opened."""
        source = self.writes or self.following
        return None if source is None else source.visible

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
        await self.stop_feedback()
        if self.writes is not None:
            await self.writes.stop()
        if self.following is not None:
            await self.following.stop()
            self.following = None  # which refers to this

    async def retire(self) -> None:
        """Take no more of anything, and close the bundle when its last request is answered."""
        await self.stop_taking()
        self.serving.retire()

    async def _learn(self, changes: Sequence[Change]) -> None:
        """As ``Serving.learn`` of what is in service."""
        with self.serving as serving:
            await serving.learn(changes)

    def _count_pairs(self, receipt: Receipt) -> None:
        self._metrics.feedback_pairs.labels("accepted").inc(receipt.accepted)
        self._metrics.feedback_pairs.labels("refused").inc(len(receipt.refused))


def _folder_at(path: Path) -> object:
    """What tells the folder at ``path`` from any other; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
