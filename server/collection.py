"""A collection: a bundle that a server serves under a name. Which bundle that is may change."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError, NoCorpus, NotReady
from lurcher.feedback.service import FeedbackService
from lurcher.server.limits import time_limit
from lurcher.server.served_bundle import ServedBundle
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings
from lurcher.server.writing import Writes

_LOADING = "the bundle is still being loaded"


class Collection:
    """What routes use of the bundle in service; whatever they ask for is that of this moment."""

    def __init__(self, name: str, path: Path, settings: Settings) -> None:
        """``path`` is the bundle's."""
        self.name, self.path, self.settings = name, path, settings
        self.bundle: ServedBundle | None = None
        self.removed = False
        self._handed_over: asyncio.Event | None = None  # while the log of feedback changes hands
        self._writes: Writes | None = None

    def write_by(self, writes: Writes) -> None:
        """Let ``writes`` take writes, which writes elsewhere; all searches know what it has answered for."""
        self._writes = writes

    @property
    def writable(self) -> bool:
        """Whether it takes writes."""
        return self.settings.writable or self._writes is not None

    def writes(self) -> Writes:
        """Return what takes writes; use it before anything else is awaited. Raises NotReady."""
        if (writes := self._writes or self.loaded().writes) is None:
            raise NotReady(_LOADING)
        return writes

    async def put(self, bundle: ServedBundle, log: Path | None) -> None:
        """Answer from ``bundle`` from now on; that before is closed when its last request is answered.

        Feedback that comes while the ``log`` changes hands waits. Should that fail, ``bundle`` is closed, and
        all is as it was. Raises FeedbackCorrupt, or FieldError for a bundle that cannot learn.
        """
        before = self.bundle
        if log is not None:
            self._handed_over = asyncio.Event()
            try:
                await self._hand_over(log, before, bundle)
            finally:
                self._handed_over.set()
                self._handed_over = None
        self.bundle, self.path = bundle, bundle.path
        if before is not None:
            await before.retire()

    async def _hand_over(
        self, log: Path, before: ServedBundle | None, bundle: ServedBundle
    ) -> None:
        if before is not None:
            await before.stop_feedback()
        try:
            await bundle.take_feedback(log)
        except BaseException:
            await bundle.retire()
            if before is not None:
                await before.take_feedback(log, in_service=True)
            raise

    async def remove(self) -> None:
        """Answer no more, and close the bundle when its last request is answered."""
        self.removed = True
        before, self.bundle = self.bundle, None
        if before is not None:
            await before.retire()

    def lease(self) -> Serving:
        """Return what is in service, to lease in a `with` block. Raises NotReady or NoCorpus."""
        serving = self.models()
        if not serving.has_corpus:
            raise NoCorpus
        return serving

    def models(self) -> Serving:
        """Return what is in service, for what its models can do without passages. Raises NotReady."""
        return self.loaded().serving

    async def move_to(self, bundle: Bundle) -> None:
        """Go on to ``bundle``, another snapshot of the bundle in service, as ``ServedBundle.move_to``."""
        await self.loaded().move_to(bundle)

    async def feedback(self) -> FeedbackService:
        """Return what takes feedback; use it before anything else is awaited. Raises NotReady."""
        while self._handed_over is not None:
            await self._handed_over.wait()
        if (feedback := self.loaded().feedback) is None:
            raise NotReady(_LOADING)
        return feedback

    async def reached(self, sequence: int | None, timeout_ms: int | None) -> None:
        """Wait until searches know write ``sequence``. Raises FieldError, NotReady or DeadlinePassed."""
        if sequence is None or sequence == 0 or self._writes is not None:
            return
        visible = self.loaded().visible
        if visible is None:
            reason = "this server neither takes writes nor follows a bundle (follow_ms is 0)"
            raise FieldError("min_sequence", f"{reason}, so it has no sequence")
        await visible.reached(sequence, time_limit(timeout_ms, self.settings))

    def loaded(self) -> ServedBundle:
        """Return the bundle in service. Raises NotReady."""
        if self.bundle is None:
            raise NotReady("the collection was unloaded" if self.removed else _LOADING)
        return self.bundle
