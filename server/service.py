"""A bundle in service: loaded, warmed, and answering through the batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf
from time import perf_counter
from typing import Any

import numpy as np
import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.online import Change
from lurcher.feedback.replay import open_state
from lurcher.feedback.service import FeedbackService, QueueLimits
from lurcher.feedback.state import FeedbackState, Receipt
from lurcher.models.engines import EngineName
from lurcher.models.errors import BundleError, DeadlinePassed, LurcherError, NotReady
from lurcher.models.threads import available_cpus
from lurcher.retrieval.answering import Question
from lurcher.retrieval.pipeline import Pipeline, Result
from lurcher.retrieval.reranking import Read, Reading, Rerank, Reranked
from lurcher.retrieval.searching import Query
from lurcher.server.batching import Batcher, Gone, Run
from lurcher.server.metrics import Metrics
from lurcher.server.settings import Settings
from lurcher.server.turns import Turns

_log = structlog.get_logger()

Work = Query | Change | Reading | Rerank
Answer = Result | Read | Reranked | LurcherError

# Of a search's time, the part by whose end its hits are ranked or stay as they are.
_RANKED_BY = 0.9
# Questions in the queue: one is read while the next one waits, and no search waits for more of them.
_QUESTIONS = 2
# Texts of one request that are read together, for each core: long ones are over in a tenth of a second.
_READ_TOGETHER = 4


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
        self._batcher: Batcher[Work, Any] | None = None  # each kind of work has its own result
        self._feedback: FeedbackService | None = None
        self._questions = Turns(_QUESTIONS, settings.max_waiting)

    async def load(self) -> None:
        """Open the bundle and answer a real query with it. Raises BundleError or ModelError."""
        try:
            bundle, pipeline, state = await asyncio.to_thread(self._open)
        except OSError as error:  # a file that may not be read, a disk that fails
            where = error.filename or self.settings.bundle
            raise BundleError(where, error.strerror or str(error)) from error
        self.metrics.passages.set(bundle.manifest.passages)
        settings = self.settings
        batcher = Batcher(self._measured(pipeline), settings.batch_size, settings.max_waiting)
        self.metrics.waiting.set_function(lambda: batcher.waiting + self._questions.waiting)
        if state is not None:
            limits = QueueLimits(
                settings.max_waiting, settings.max_queries, settings.timeout_ms / 1_000
            )
            feedback = FeedbackService(state, self.learn, limits, self._count_pairs)
            self.metrics.live_pairs.set_function(lambda: feedback.counted)
            self._feedback = feedback
        self._bundle, self._batcher = bundle, batcher
        _log.info("ready", bundle=bundle.manifest.name, passages=bundle.manifest.passages)

    def _open(self) -> tuple[Bundle, Pipeline, FeedbackState | None]:
        bundle = Bundle.open(self.settings.bundle, self.settings.check_hashes)
        pipeline = self._make_pipeline(bundle, self.settings.threads, self.settings.engine)
        trial = Query if bundle.manifest.reader is None else Question
        for result in pipeline.run([trial(bundle.passages.get([0])[0].content or "a trial query")]):
            if isinstance(result, LurcherError):
                raise result
        if self.settings.feedback is None:
            return bundle, pipeline, None
        settings = self.settings
        limits = Limits(settings.feedback_clients, settings.feedback_client_weight)
        state = open_state(self.settings.feedback, bundle, limits, settings.feedback_pairs)
        try:
            pipeline.learn(state.changes())
        except BaseException:
            state.log.close()
            raise
        return bundle, pipeline, state

    def _count_pairs(self, receipt: Receipt) -> None:
        self.metrics.feedback_pairs.labels("accepted").inc(receipt.accepted)
        self.metrics.feedback_pairs.labels("refused").inc(len(receipt.refused))

    def _measured(self, pipeline: Pipeline) -> Run[Work, Any]:
        def run(works: Sequence[Work]) -> Sequence[Answer]:
            # First, so that who searches beside a feedback request may find what it changed.
            changes = [work for work in works if isinstance(work, Change)]
            learnt = _learn(pipeline, changes) if changes else _NOTHING
            results = self._search(pipeline, [work for work in works if isinstance(work, Query)])
            read = self._read(pipeline, [work for work in works if isinstance(work, Reading)])
            return [
                learnt if isinstance(work, Change)
                else next(results) if isinstance(work, Query)
                else next(read) if isinstance(work, Reading)
                else self._rerank(pipeline, work)
                for work in works
            ]  # fmt: skip

        return run

    def _search(self, pipeline: Pipeline, queries: Sequence[Query]) -> Iterator[Answer]:
        if not queries:
            return iter(())
        results = pipeline.run(queries)
        self.metrics.batch_queries.observe(len(queries))
        found = [result for result in results if isinstance(result, Result)]
        for stage, seconds in found[0].seconds.items() if found else ():
            self.metrics.stage_seconds.labels(stage).observe(seconds)
        for stage in (stage for result in found for stage in result.degraded):
            self.metrics.degraded.labels(stage).inc()
        return iter(results)

    def _read(self, pipeline: Pipeline, works: Sequence[Reading]) -> Iterator[Answer]:
        if not works:
            return iter(())
        try:
            with self.metrics.stage_seconds.labels("read").time():
                return iter(pipeline.read(works))
        except LurcherError as error:  # not that of queries in the same batch
            return iter([error] * len(works))

    def _rerank(self, pipeline: Pipeline, work: Rerank) -> Answer:
        try:
            with self.metrics.stage_seconds.labels("rerank").time():
                return pipeline.rerank(work)
        except LurcherError as error:
            return error

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
        seconds = self._seconds(timeout_ms)
        until = perf_counter() + _RANKED_BY * seconds
        works = [replace(query, until=until) for query in queries]
        return await self._ready.submit(works, seconds, gone)

    async def answer(
        self, question: Question, timeout_ms: int | None, gone: Gone
    ) -> tuple[Result, float]:
        """What is found for ``question``, with its answers, and the seconds it waited.

        Raises NotReady, QueueFull, DeadlinePassed, or what the pipeline raised.
        """
        start, seconds, batcher = perf_counter(), self._seconds(timeout_ms), self._ready
        timed = replace(question, until=start + _RANKED_BY * seconds)
        try:
            async with asyncio.timeout(seconds), self._questions.take(gone):
                turn = perf_counter()
                (found,) = await batcher.submit([timed], inf, gone)
        except TimeoutError as error:
            raise DeadlinePassed(f"no answer within {seconds * 1000:.0f} ms") from error
        if isinstance(found, LurcherError):
            raise found
        result, waited = found
        return result, turn - start + waited

    async def rerank(
        self, query: str, passages: Rows | Sequence[str], timeout_ms: int | None, gone: Gone,
        max_tokens: int | None = None,
    ) -> tuple[Reranked, list[int]]:  # fmt: skip
        """The scores of ``passages``, rows of the bundle or texts, and which of the texts were cut.

        Texts are cut to ``max_tokens``, None: to what the encoder reads.

        Raises NotReady, QueueFull, DeadlinePassed, or what the pipeline raised.
        """
        seconds = self._seconds(timeout_ms)
        try:
            async with asyncio.timeout(seconds):
                if isinstance(passages, np.ndarray):
                    (scored,) = await self._all([Rerank(query, passages)], gone)
                    return scored, []
                works = [Reading(text, max_tokens) for text in passages]
                read = await self._read_all(works, gone)
                (scored,) = await self._all([Rerank(query, read)], gone, however_full=True)
                return scored, [i for i, one in enumerate(read) if one.truncated]
        except TimeoutError as error:
            raise DeadlinePassed(f"no answer within {seconds * 1000:.0f} ms") from error

    async def _read_all(self, works: Sequence[Reading], gone: Gone) -> tuple[Read, ...]:
        """What the texts come to, a few at a time, so that searches get in between however many there are."""
        read: list[Read] = []
        threads = self.settings.threads or available_cpus()
        # What never fits into the queue would be told to try again for ever.
        step = min(_READ_TOGETHER * threads, self.settings.max_waiting)
        for first in range(0, len(works), step):
            if first and await gone():
                raise DeadlinePassed("the client has gone")
            # What was begun is finished: else the work on the first ones would be for nothing.
            read += await self._all(works[first : first + step], gone, however_full=first > 0)
        return tuple(read)

    async def _all(
        self, works: Sequence[Work], gone: Gone, *, however_full: bool = False
    ) -> list[Any]:
        """The results of ``works``, however long they take. Raises NotReady, QueueFull or the first error."""
        answers = await self._ready.submit(works, inf, gone, however_full=however_full)
        for answer in answers:
            if isinstance(answer, LurcherError):
                raise answer
        return [answer[0] for answer in answers if not isinstance(answer, LurcherError)]

    @property
    def _ready(self) -> Batcher[Work, Any]:
        if self._batcher is None:
            raise NotReady("the bundle is still being loaded")
        return self._batcher

    def _seconds(self, timeout_ms: int | None) -> float:
        limit = self.settings.timeout_ms
        return min(timeout_ms or limit, limit) / 1_000

    @property
    def feedback(self) -> FeedbackService:
        """Where feedback goes. Raises NotReady."""
        if self._feedback is None:
            raise NotReady("the bundle is still being loaded")
        return self._feedback

    async def learn(self, changes: Sequence[Change]) -> None:
        """Let searches know ``changes``, in order, however long it takes; those that begin afterwards do.

        Raises NotReady, or what the pipeline raised.
        """
        # One work a change, so that searches get in between however many there are. The queue's limit is
        # for searches: feedback has one of its own, and would else wait for a moment without any.
        await self._all(changes, _still_there, however_full=True)

    async def close(self) -> None:
        """Stop taking feedback and queries, finish those in hand, close the bundle."""
        if self._feedback is not None:
            await self._feedback.stop()
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
