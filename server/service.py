"""The state of a server: its collections, none of which answers while they load."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from time import perf_counter

import structlog

from lurcher.bundle.model_cache import ModelCache
from lurcher.errors import BundleError, FieldError, NotReady
from lurcher.models.engines import Choice
from lurcher.models.engines.native import library
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.administration import Administration
from lurcher.server.admission.admission import Admission
from lurcher.server.audit import Audit
from lurcher.server.collection import Collection
from lurcher.server.collection_names import named
from lurcher.server.kept import Kept
from lurcher.server.key_ring import KeyRing
from lurcher.server.metrics import ENGINES, Metrics
from lurcher.server.opening import OpenSnapshot, log_of
from lurcher.server.rates import OwnTimes, Rates, Times
from lurcher.server.registry import Registry
from lurcher.server.served_bundle import ServedBundle
from lurcher.server.settings import Settings
from lurcher.server.several import Several
from lurcher.server.sources import shown
from lurcher.server.tracing import traces_of
from lurcher.server.workers.link import Link

_log = structlog.get_logger()

_LOADING = "the bundles are still being loaded"
_LOOKS_EVERY = 0.1  # seconds between two looks at whether the event loop is late
_FILES_EVERY = 1.0  # seconds between two looks at the bundles' files
_NOTED_EVERY = 1.0  # seconds between two notes of the gauges, where processes share them
_NOTHING = "has no folder *.lurcher; put one there, or name a bundle as well"


class Service:
    """What routes find everything by; ``load`` makes it ready."""

    def __init__(
        self, settings: Settings, open_snapshot: OpenSnapshot | None = None,
        link: Link | None = None, times: Times | None = None,
    ) -> None:  # fmt: skip
        """``open_snapshot`` None: as a snapshot is opened, with models that equal bundles share.

        ``link`` leads to other processes of the server, of which one writes; None: there are none. ``times``
        are what they share of what each key has sent; None: this one counts alone. Raises
        FieldError for bundles that cannot be told apart by name, or none.
        """
        self.settings, self._link = settings, link
        self._cache = ModelCache()
        self._open_snapshot = open_snapshot or partial(Snapshot, cache=self._cache)
        self.metrics, self.keys = Metrics(), KeyRing(settings)
        self.audit = Audit(settings.audit)
        self.traces = traces_of(settings)
        self.rates = Rates(times or OwnTimes())
        given = named(settings.bundle, settings.collections)
        self._kept = kept = Kept(settings.collections)
        self.collections = Registry(next(iter(given), None))
        for name, path in kept.over(given).items():
            self.collections.add(Collection(name, path, settings))
        for alias, name in kept.aliases.items():
            try:
                self.collections.alias(alias, name)
            except FieldError as error:
                raise kept.fault(f"aliases: {alias}: {error.reason}") from error
        if not list(self.collections) and not settings.admin_folders:
            raise FieldError("collections", f"{shown(str(settings.collections))} {_NOTHING}")
        self.administration = Administration(settings, self.collections, self._open, kept, given)
        self._admission: Admission | None = None
        self._several: Several | None = None
        self._loaded = False
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False
        self._noting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        watch = self.metrics.watch
        watch(self.metrics.passages, lambda: sum(one.passages for one in self._bundles()))
        for engine in ENGINES:
            watch(self.metrics.engines.labels(engine), partial(self._run_by, engine))
        watch(self.metrics.learnt_pairs, lambda: sum(one.learnt_pairs for one in self._bundles()))

    async def load(self) -> None:
        """Open every bundle and answer a query with it. Raises BundleError or ModelError."""
        settings = self.settings
        admission = Admission(settings.max_waiting, settings.max_wait_ms, settings.batch_size)
        self._admission, self._several = admission, Several(settings, admission, self.metrics)
        self.metrics.watch(self.metrics.waiting, lambda: admission.waiting)
        self.metrics.watch(self.metrics.oldest_wait, lambda: admission.batcher.oldest)
        self.metrics.native_library.set(not isinstance(await asyncio.to_thread(library.load), str))
        self._watching = asyncio.create_task(self._watch_loop())
        if self.metrics.shared:
            self._noting = asyncio.create_task(self._note())
        if (kept := self._kept).paths or kept.aliases:
            _log.info(
                "changed by admin routes before", file=str(kept.file), collections=list(kept.paths),
                aliases=list(kept.aliases),
            )  # fmt: skip
        for collection in self.collections:
            log = log_of(settings, collection.name)
            try:
                bundle = await self._open(collection.name, collection.path)
            except BundleError as error:
                if collection.name not in self._kept.paths:
                    raise
                raise self._kept.fault(f"collections: {collection.name}: {error}") from error
            await collection.put(bundle, log)
            engine = bundle.serving.engine
            told = {} if engine is None else _told(engine)
            _log.info(
                "ready", collection=collection.name, bundle=bundle.serving.bundle,
                passages=bundle.passages, **told,
            )  # fmt: skip
        self._looking = asyncio.create_task(self._look_at_files())
        self._loaded = True

    async def _look_at_files(self) -> None:
        while True:
            for bundle in self._bundles():
                await asyncio.to_thread(bundle.serving.look_at_files)
            await asyncio.sleep(_FILES_EVERY)

    async def _note(self) -> None:
        while True:
            self.metrics.note()
            await asyncio.sleep(_NOTED_EVERY)

    async def _watch_loop(self) -> None:
        """Note again and again by how much the event loop is late."""
        while True:
            due = perf_counter() + _LOOKS_EVERY
            await asyncio.sleep(_LOOKS_EVERY)
            self.metrics.loop_lag.observe(max(0.0, perf_counter() - due))

    def _run_by(self, engine: str) -> int:
        """How many collections ``engine`` encodes queries of."""
        engines = [one.serving.engine for one in self._bundles()]
        return sum(one is not None and one.name == engine for one in engines)

    @property
    def several(self) -> Several:
        """What searches several collections at once. Raises NotReady."""
        if self._several is None:
            raise NotReady(_LOADING)
        return self._several

    def reload(self) -> asyncio.Task[None]:
        """Read keys and collections again, and return the task of that; call it in the event loop's thread.

        Asked for while it goes on, it goes on once more.
        """
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())
        return self._reloading

    async def _reload(self) -> None:
        while self._reload_again:
            self._reload_again = False
            outcome = "done"
            try:
                await asyncio.to_thread(self.keys.read_again)
            except FieldError as error:
                outcome = "refused"
                _log.error("the keys stay as they are", reason=str(error))
            try:
                await asyncio.to_thread(self.audit.reopen)
            except FieldError as error:
                _log.error("the audit log stays in its file", reason=str(error))
            if self._loaded:
                await self.administration.reload()
            names = [one.name for one in self.collections]
            self.audit.write(action="reload", collection=names, outcome=outcome)
            _log.info("reloaded", collections=names)

    async def _open(self, collection: str, path: Path) -> ServedBundle:
        """The bundle at ``path`` for ``collection``, after a query. Raises as ``ServedBundle.open``."""
        if self._admission is None:
            raise NotReady(_LOADING)
        return await ServedBundle.open(
            path, self.settings, self.metrics, self._admission, self._open_snapshot, self._cache,
            self._link, collection,
        )  # fmt: skip

    def check_ready(self) -> None:
        """Raise NotReady while bundles are being loaded, and once the files of one were changed."""
        if not self._loaded:
            raise NotReady(_LOADING)
        for bundle in self._bundles():
            bundle.serving.check_sound()

    async def close(self) -> None:
        """Take no more feedback, writes and queries, finish the current ones, close the bundles."""
        for task in (self._noting, self._watching, self._looking):
            if task is not None:
                task.cancel()
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
        bundles = self._bundles()
        for bundle in bundles:
            await bundle.stop_taking()
        if self._admission is not None:
            await self._admission.stop()
        for bundle in bundles:
            bundle.serving.retire()
        await asyncio.to_thread(self.audit.close)
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)

    def _bundles(self) -> list[ServedBundle]:
        return [one.bundle for one in self.collections if one.bundle is not None]


def _told(engine: Choice) -> dict[str, str]:
    return {"engine": engine.name, "engine_reason": engine.reason}
