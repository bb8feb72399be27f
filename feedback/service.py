"""The feedback service: on the disk first, then in the sums, then in the search, then answered.

One task commits what waits, so requests that come together share one write to the disk and one step of
the search. Another tells the search side, which may be busy: what is on the disk is answered after the
patience at the latest, and counts in searches as soon as they know it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import structlog

from lurcher.errors import LurcherError, NotReady, QueueFull
from lurcher.feedback.aggregation import PairKey, pair_key
from lurcher.feedback.online import Change
from lurcher.feedback.records import Removal, Submission
from lurcher.feedback.state import Answer, FeedbackState, Forgetting, Outcome, Receipt, Request

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """At most ``waiting`` pairs wait, and about ``together`` are written, or told to searches, at once.

    Nobody waits longer than ``patience``, in seconds, for searches to know what is on the disk.
    """

    waiting: int = 2_048
    together: int = 512
    patience: float = 10.0


@dataclass(frozen=True, slots=True)
class FeedbackStatus:
    """How much feedback counts beside the bundle, and how far the log is."""

    pairs: int
    held_back: int
    most_pairs: int
    judgements: int
    log: str
    sequence: int
    log_bytes: int


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    done: asyncio.Future[Answer]

    @property
    def size(self) -> int:
        """As ``_size`` of its request."""
        return _size(self.request)


def _size(request: Request) -> int:
    """How many pairs it has; what takes some back, or has none, is as much work as one."""
    return max(1, len(request.pairs)) if isinstance(request, Submission) else 1


def _ignore(_: Receipt) -> None:
    pass


class FeedbackService:
    """What takes feedback while a server runs; make it where an event loop runs."""

    def __init__(
        self,
        state: FeedbackState,
        learn: Callable[[Sequence[Change]], Awaitable[None]],
        limits: QueueLimits,
        on_receipt: Callable[[Receipt], None] = _ignore,
    ) -> None:
        """Tell ``learn`` what changed in ``state``, and ``on_receipt`` each receipt once."""
        self._state = state
        self._learn = learn
        self._limits = limits
        self._on_receipt = on_receipt
        self._stopped = False
        self._waiting: deque[_Job] = deque()
        self._waiting_pairs = 0
        self._seconds_a_pair = 0.01
        self._arrived = asyncio.Event()
        self._untold: dict[PairKey, Change] = {}  # to the search side; the last word on each pair
        self._telling: asyncio.Task[Exception | None] | None = None
        self._loop = asyncio.create_task(self._work())

    @property
    def status(self) -> FeedbackStatus:
        """How things stand."""
        state, counts = self._state, self._state.counts
        return FeedbackStatus(
            counts.pairs, counts.pairs - counts.counted, state.most_pairs, counts.judgements,
            state.log.id, state.log.sequence, state.log.bytes,
        )  # fmt: skip

    @property
    def counted(self) -> int:
        """How many pairs count in searches beside the bundle."""
        return self._state.counts.counted

    async def submit(self, submission: Submission) -> Receipt:
        """The receipt of ``submission``, once it is on the disk and counts in searches, or soon will.

        Its passages are in the bundle. Raises FieldError for a key used before, FeedbackNotKept,
        QueueFull, or NotReady where the server stops.
        """
        return cast(Receipt, await self._queue(submission))

    async def remove(self, removal: Removal) -> int:
        """How many live judgements ``removal`` took back, once that is on the disk and searches know.

        Raises FeedbackNotKept, QueueFull or NotReady.
        """
        return cast(int, await self._queue(removal))

    async def forget(self, passages: Iterable[str]) -> None:
        """Let what was judged of ``passages`` count no more. Raises NotReady where the server stops."""
        if self._stopped:
            raise NotReady("the server is stopping")
        judged = self._state.judged(passages)
        if judged:
            await self._add(Forgetting(judged))

    async def _queue(self, request: Request) -> Answer:
        if self._stopped:
            raise NotReady("the server is stopping")
        if self._waiting_pairs + _size(request) > self._limits.waiting:
            retry_after = max(1, round(self._waiting_pairs * self._seconds_a_pair))
            raise QueueFull(self._waiting_pairs, retry_after)
        return await self._add(request)

    async def _add(self, request: Request) -> Answer:
        job = _Job(request, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._waiting_pairs += job.size
        self._arrived.set()
        return await job.done

    async def stop(self) -> None:
        """Finish what waits, take no more, close the log."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        if self._telling is not None:
            self._telling.cancel()  # a server that stops need not learn
            await asyncio.wait([self._telling])
        self._state.log.close()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            group, start = self._take(), time.perf_counter()
            if group:
                try:
                    answers = await self._settle([job.request for job in group])
                # Whatever went wrong is the answer to those who asked, not the end of the server.
                except Exception as error:
                    answers = [error] * len(group)
                _answer(group, answers)
                seconds = (time.perf_counter() - start) / sum(job.size for job in group)
                self._seconds_a_pair += 0.1 * (seconds - self._seconds_a_pair)
            elif self._stopped:
                return
            else:
                self._arrived.clear()

    def _take(self) -> list[_Job]:
        """What is done together: one request a key, and nothing after a removal, so that order holds."""
        group: list[_Job] = []
        keys: set[tuple[str, str]] = set()
        pairs = 0
        while self._waiting and pairs < self._limits.together:
            request = self._waiting[0].request
            if isinstance(request, Submission):
                if (request.client, request.key) in keys:
                    break
                keys.add((request.client, request.key))
            group.append(self._waiting.popleft())
            pairs += group[-1].size
            if not isinstance(request, Submission):
                break
        self._waiting_pairs -= pairs
        return group

    async def _settle(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        outcomes, changes = await asyncio.to_thread(self._state.commit, requests)
        for outcome in outcomes:
            if isinstance(outcome.answer, Receipt) and not outcome.repeated:
                self._on_receipt(outcome.answer)
        self._untold.update({pair_key(c.query, c.passage): c for c in changes})
        failure = await self._catch_up()
        return [_told(outcome, failure) for outcome in outcomes]

    async def _catch_up(self) -> Exception | None:
        """Wait until the search side knows all, but no longer than those who gave feedback would.

        What kept it from learning, if anything did; it is told again with the next.
        """
        if self._untold and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell())
        if self._telling is None:
            return None
        await asyncio.wait([self._telling], timeout=self._limits.patience)
        if not self._telling.done():
            _log.warning("searches learn feedback late", waiting=len(self._untold))
            return None
        return self._telling.result()

    async def _tell(self) -> Exception | None:
        """Tell the search side all that it does not know; what came of it, as nobody may wait for it."""
        while self._untold:
            some = list(islice(self._untold.items(), self._limits.together))
            try:
                await self._learn([change for _, change in some])
            except Exception as error:
                return error
            for pair, change in some:
                if self._untold[pair] is change:  # or else there is a later word on it
                    del self._untold[pair]
        return None


def _told(outcome: Outcome, failure: Exception | None) -> Answer | Exception:
    """What a request is answered: its own error, or what kept searches from learning, or its answer."""
    if failure is None or isinstance(outcome.answer, LurcherError):
        return outcome.answer
    return failure


def _answer(jobs: Sequence[_Job], answers: Sequence[Answer | Exception]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        if job.done.done():  # its client disconnected
            continue
        if isinstance(answer, Exception):
            job.done.set_exception(answer)
        else:
            job.done.set_result(answer)
