"""A collection: a bundle that a server serves under a name. Which bundle that is may change."""

from __future__ import annotations

from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError, NoCorpus, NotReady
from lurcher.feedback.service import FeedbackService
from lurcher.server.served_bundle import ServedBundle
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings
from lurcher.server.writing import WriteQueue

_LOADING = "the bundle is still being loaded"


class Collection:
    """What routes use of the bundle in service; whatever they ask for is that of this moment."""

    def __init__(self, name: str, path: Path, settings: Settings) -> None:
        """``path`` is the bundle's."""
        self.name, self.path, self.settings = name, path, settings
        self.bundle: ServedBundle | None = None

    def lease(self) -> Serving:
        """Return what is in service, to lease in a `with` block. Raises NotReady or NoCorpus."""
        serving = self.models()
        if not serving.has_corpus:
            raise NoCorpus
        return serving

    def models(self) -> Serving:
        """Return what is in service, for what its models can do without passages. Raises NotReady."""
        return self._loaded().serving

    async def move_to(self, bundle: Bundle) -> None:
        """Go on to ``bundle``, another snapshot of the bundle in service, as ``ServedBundle.move_to``."""
        await self._loaded().move_to(bundle)

    @property
    def writes(self) -> WriteQueue:
        """What takes writes of passages. Raises NotReady."""
        if (writes := self._loaded().writes) is None:
            raise NotReady(_LOADING)
        return writes

    @property
    def feedback(self) -> FeedbackService:
        """What takes feedback. Raises NotReady."""
        if (feedback := self._loaded().feedback) is None:
            raise NotReady(_LOADING)
        return feedback

    async def reached(self, sequence: int | None, timeout_ms: int | None) -> None:
        """Wait until searches know write ``sequence``. Raises FieldError, NotReady or DeadlinePassed."""
        if sequence is None or sequence == 0:
            return
        if not self.settings.writable:
            raise FieldError("min_sequence", "this server takes no writes, so it has no sequence")
        limit = self.settings.timeout_ms
        await self.writes.reached(sequence, min(timeout_ms or limit, limit) / 1_000)

    def _loaded(self) -> ServedBundle:
        if self.bundle is None:
            raise NotReady(_LOADING)
        return self.bundle
