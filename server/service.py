"""A bundle in service: loaded, warmed, and answering through the batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf

import structlog

from bundle.bundle import Bundle
from bundle.feedback import FeedbackLog
from models.engines import EngineName
from models.errors import BundleError, LurcherError, NotReady
from server.batching import Batcher, Gone, Run
from server.feedback import Feedback
from server.intake import Intake, replay
from server.live import Change
from server.metrics import Metrics
from server.pipeline import Pipeline, Result
from server.searching import Query
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
        self._batcher: Batcher[Query | Change, Result] | None = None
        self._intake: Intake | None = None

    async def load(self) -> None:
        """Open the bundle and answer a real query with it. Raises BundleError or ModelError."""
        try:
            bundle, pipeline, feedback = await asyncio.to_thread(self._open)
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or self.settings.bundle
            raise BundleError(where, error.strerror or str(error)) from error
        self.metrics.passages.set(bundle.manifest.passages)
        settings = self.settings
        batcher = Batcher(self._measured(pipeline), settings.batch_size, settings.max_waiting)
        self.metrics.waiting.set_function(lambda: batcher.waiting)
        if feedback is not None:
            self._intake = Intake(*feedback, self.learn, self.metrics, settings)
        self._bundle, self._batcher = bundle, batcher
        _log.info("ready", bundle=bundle.manifest.name, passages=bundle.manifest.passages)

    def _open(self) -> tuple[Bundle, Pipeline, tuple[FeedbackLog, Feedback] | None]:
        bundle = Bundle.open(self.settings.bundle, self.settings.check_hashes)
        pipeline = self._make_pipeline(bundle, self.settings.threads, self.settings.engine)
        for result in pipeline.run([Query(bundle.passages.get([0])[0].content or "a trial query")]):
            if isinstance(result, LurcherError):
                raise result
        if self.settings.feedback is None:
            return bundle, pipeline, None
        log, feedback = replay(self.settings, bundle)
        try:
            pipeline.learn(feedback.changes())
        except BaseException:
            log.close()
            raise
        return bundle, pipeline, (log, feedback)

    def _measured(self, pipeline: Pipeline) -> Run[Query | Change, Result]:
        def run(works: Sequence[Query | Change]) -> Sequence[Result | LurcherError]:
            # First, so that who searches beside a feedback request may find what it changed.
            changes = [work for work in works if isinstance(work, Change)]
            learnt = _learn(pipeline, changes) if changes else _NOTHING
            queries = [work for work in works if isinstance(work, Query)]
            results = pipeline.run(queries) if queries else []
            if queries:
                self.metrics.batch_queries.observe(len(queries))
            for stage, seconds in next(
                (r.seconds for r in results if isinstance(r, Result)), {}
            ).items():
                self.metrics.stage_seconds.labels(stage).observe(seconds)
            found = iter(results)
            return [learnt if isinstance(work, Change) else next(found) for work in works]

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

    @property
    def intake(self) -> Intake:
        """Where feedback goes. Raises NotReady."""
        if self._intake is None:
            raise NotReady("the bundle is still being loaded")
        return self._intake

    async def learn(self, changes: Sequence[Change]) -> None:
        """Let searches know ``changes``, in order, however long it takes; those that begin afterwards do.

        Raises NotReady, or what the pipeline raised.
        """
        if self._batcher is None:
            raise NotReady("the bundle is still being loaded")
        # One work a change, so that searches get in between however many there are. The queue's limit is
        # for searches: the intake has one of its own, and would else wait for a moment without any.
        for answer in await self._batcher.submit(changes, inf, _still_there, however_full=True):
            if isinstance(answer, LurcherError):
                raise answer

    async def close(self) -> None:
        """Stop taking feedback and queries, finish those in hand, close the bundle."""
        if self._intake is not None:
            await self._intake.stop()
        if self._batcher is not None:
            await self._batcher.stop()
        if self._bundle is not None:
            self._bundle.close()


_NOTHING = Result([], False, {})


def _learn(pipeline: Pipeline, changes: Sequence[Change]) -> Result | LurcherError:
    """Apply ``changes``: nothing found, or the error, which is not that of queries in the same batch."""
    try:
        pipeline.learn(changes)
    except LurcherError as error:
        return error
    # Whatever went wrong: the queries go on.
    except Exception as error:
        _log.error("feedback cannot be applied", exc_info=error)
        return LurcherError("feedback is kept but could not be applied; the log has the details")
    return _NOTHING


async def _still_there() -> bool:
    return False
