"""A bundle in service: loaded, warmed, and answering through the batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from bundle.bundle import Bundle
from models.engines import EngineName
from models.errors import BundleError, LurcherError, NotReady
from server.batching import Batcher, Gone, Run
from server.metrics import Metrics
from server.pipeline import Pipeline, Query, Result
from server.settings import Settings

_log = structlog.get_logger()


class Service:
    """What the routes talk to; ``load`` makes it ready."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Callable[[Bundle, int | None, EngineName], Pipeline] = Pipeline,
    ) -> None:
        self.settings = settings
        self._make_pipeline = pipeline
        self.metrics = Metrics()
        self._bundle: Bundle | None = None
        self._batcher: Batcher[Query, Result] | None = None

    async def load(self) -> None:
        """Open the bundle and answer a real query with it. Raises BundleError or ModelError."""
        try:
            bundle, pipeline = await asyncio.to_thread(self._open)
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or self.settings.bundle
            raise BundleError(where, error.strerror or str(error)) from error
        self.metrics.passages.set(bundle.manifest.passages)
        settings = self.settings
        batcher = Batcher(self._measured(pipeline), settings.batch_size, settings.max_waiting)
        self.metrics.waiting.set_function(lambda: batcher.waiting)
        self._bundle, self._batcher = bundle, batcher
        _log.info("ready", bundle=bundle.manifest.name, passages=bundle.manifest.passages)

    def _open(self) -> tuple[Bundle, Pipeline]:
        bundle = Bundle.open(self.settings.bundle, self.settings.check_hashes)
        pipeline = self._make_pipeline(bundle, self.settings.threads, self.settings.engine)
        for result in pipeline.run([Query(bundle.passages.get([0])[0].content or "a trial query")]):
            if isinstance(result, LurcherError):
                raise result
        return bundle, pipeline

    def _measured(self, pipeline: Pipeline) -> Run[Query, Result]:
        def run(queries: Sequence[Query]) -> Sequence[Result | LurcherError]:
            results = pipeline.run(queries)
            self.metrics.batch_queries.observe(len(queries))
            for stage, seconds in next(
                (r.seconds for r in results if isinstance(r, Result)), {}
            ).items():
                self.metrics.stage_seconds.labels(stage).observe(seconds)
            return results

        return run

    @property
    def ready(self) -> bool:
        """Whether a real query went through."""
        return self._batcher is not None

    @property
    def bundle(self) -> Bundle:
        """The loaded bundle. Raises NotReady."""
        if self._bundle is None:
            raise NotReady("the bundle is still being loaded")
        return self._bundle

    async def search(
        self, queries: Sequence[Query], timeout_ms: int | None, gone: Gone
    ) -> list[tuple[Result, float] | LurcherError]:
        """For each query its result and the seconds it waited, or its error.

        Raises NotReady, QueueFull or DeadlinePassed.
        """
        if self._batcher is None:
            raise NotReady("the bundle is still being loaded")
        limit = self.settings.timeout_ms
        seconds = min(timeout_ms or limit, limit) / 1_000
        return await self._batcher.submit(queries, seconds, gone)

    async def close(self) -> None:
        """Stop taking queries, finish those in hand, close the bundle."""
        if self._batcher is not None:
            await self._batcher.stop()
        if self._bundle is not None:
            self._bundle.close()
