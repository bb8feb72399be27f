"""The state of a server: its collections, none of which answers while they load."""

from __future__ import annotations

import structlog

from lurcher.models.engines import Choice
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission.admission import Admission
from lurcher.server.collection import Collection
from lurcher.server.metrics import Metrics
from lurcher.server.opening import OpenSnapshot
from lurcher.server.registry import Registry
from lurcher.server.served_bundle import ServedBundle
from lurcher.server.settings import Settings

_log = structlog.get_logger()

_ONLY = "default"


class Service:
    """What routes find everything by; ``load`` makes it ready."""

    def __init__(self, settings: Settings, open_snapshot: OpenSnapshot = Snapshot) -> None:
        self.settings = settings
        self._open_snapshot = open_snapshot
        self.metrics = Metrics()
        self.collections = Registry()
        self.collections.add(Collection(_ONLY, settings))
        self._admission: Admission | None = None
        self._loaded = False
        self.metrics.passages.set_function(lambda: sum(one.passages for one in self._bundles()))
        self.metrics.learnt_pairs.set_function(
            lambda: sum(one.feedback.counted for one in self._bundles() if one.feedback)
        )

    async def load(self) -> None:
        """Open every bundle and answer a query with it. Raises BundleError or ModelError."""
        settings = self.settings
        admission = Admission(settings.max_waiting, settings.max_wait_ms, settings.batch_size)
        self._admission = admission
        self.metrics.waiting.set_function(lambda: admission.waiting)
        for collection in self.collections:
            bundle = await ServedBundle.open(settings, self.metrics, admission, self._open_snapshot)
            collection.bundle = bundle
            engine = bundle.serving.engine
            told = {} if engine is None else _told(engine)
            _log.info("ready", bundle=bundle.serving.bundle, passages=bundle.passages, **told)
        self._loaded = True

    @property
    def ready(self) -> bool:
        """Whether every bundle has answered a query."""
        return self._loaded

    async def close(self) -> None:
        """Take no more feedback, writes and queries, finish the current ones, close the bundles."""
        bundles = self._bundles()
        for bundle in bundles:
            await bundle.stop_taking()
        if self._admission is not None:
            await self._admission.stop()
        for bundle in bundles:
            bundle.serving.retire()

    def _bundles(self) -> list[ServedBundle]:
        return [one.bundle for one in self.collections if one.bundle is not None]


def _told(engine: Choice) -> dict[str, str]:
    return {"engine": engine.name, "engine_reason": engine.reason}
