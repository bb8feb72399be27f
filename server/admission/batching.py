"""Micro-batches: run together what is waiting, and add no delay when idle.

One thread does the work. While it is busy, work queues up; when it is free, it takes as much as fits into a
batch. So an idle server answers at once and a busy one in batches, without a timer. Single pieces of work go
before those of requests with many (bulk work), so that a long request does not hold them up. As long as bulk
work waits, a quarter of each batch is reserved for it, or steady single requests would starve it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

from lurcher.errors import DeadlinePassed, LurcherError, NotReady, QueueFull
from lurcher.retrieval.costs import CostModel
from lurcher.server.admission import IsDisconnected

Work = TypeVar("Work")
Done = TypeVar("Done")

# Does many pieces of work at once; returns a result or an error for each.
Handler = Callable[[Sequence[Work]], Sequence[Done | LurcherError]]

# Asking whether a client is still connected has a cost; one that has just arrived surely is.
_ASK_AFTER_SECONDS = 0.02

# Fraction of a batch that is reserved for waiting bulk work.
_BULK_SHARE = 0.25


@dataclass(slots=True, eq=False)
class _Item:
    handler: Handler[Any, Any]
    work: Any
    is_disconnected: IsDisconnected
    since: float
    future: asyncio.Future[tuple[Any, float]]


class Batcher:
    """A queue in front of ``handlers``; one thread calls them with at most ``size`` pieces of work together.

    Within a batch, handlers are called in the order given here. At most ``capacity`` pieces of work wait.
    """

    def __init__(
        self, handlers: Sequence[Handler[Any, Any]], size: int, capacity: int, costs: CostModel,
        ask_after: float = _ASK_AFTER_SECONDS,
    ) -> None:  # fmt: skip
        self._handlers = handlers
        self._size, self._capacity, self._costs = size, capacity, costs
        self._ask_after = ask_after
        self._stopped = False
        self._single: deque[_Item] = deque()
        self._bulk: deque[_Item] = deque()
        self._owed = 0.0  # places that bulk work has a right to; parts of one add up
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "pipeline")
        self._events = asyncio.get_running_loop()
        self._loop = asyncio.create_task(self._work())

    @property
    def waiting(self) -> int:
        """The number of pieces of work that wait."""
        return len(self._single) + len(self._bulk)

    async def submit(
        self, handler: Handler[Work, Done], works: Sequence[Work], seconds: float | None,
        is_disconnected: IsDisconnected, *, exempt: bool = False,
    ) -> list[tuple[Done, float] | LurcherError]:  # fmt: skip
        """Return for each of ``works`` its result and the seconds it waited, or its error; several are bulk.

        Raises QueueFull where there is no room for all of them, unless they are ``exempt`` from the limit,
        and DeadlinePassed after ``seconds`` (None: never). What was not begun by then, or when the client has
        disconnected, is never begun. Raises NotReady once the batcher was stopped.
        """
        if self._stopped:
            raise NotReady("the server is stopping")
        if not exempt:
            check_room("query", self.waiting, len(works), self._capacity, self._costs)
        create, now = self._events.create_future, perf_counter()
        items = [_Item(handler, work, is_disconnected, now, create()) for work in works]
        (self._single if len(items) == 1 else self._bulk).extend(items)
        self._arrived.set()
        try:
            async with asyncio.timeout(seconds):  # on the way out it cancels every future
                done = await _outcomes([item.future for item in items])
        except TimeoutError as error:
            raise deadline_passed(seconds) from error
        answers: list[tuple[Done, float] | LurcherError] = []
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, LurcherError):
                raise one
            answers.append(one)
        return answers

    async def stop(self) -> None:
        """Finish the current batch and take no more; what still waits gets NotReady."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        waiting = [*self._single, *self._bulk]
        _settle(waiting, [NotReady("the server is stopping")] * len(waiting), perf_counter())
        await asyncio.to_thread(self._thread.shutdown)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if self._stopped:
                return
            batch = await self._take()
            if batch:
                finished = self._events.create_future()
                self._thread.submit(self._run, batch, finished)
                await finished

    def _run(self, batch: Sequence[_Item], finished: asyncio.Future[None]) -> None:
        """Run ``batch``, and let the event loop settle its items.

        By one call of the loop: the executor's own future would come back by a chain of three.
        """
        # Not before: while the batch was assembled, more work may have arrived.
        start = perf_counter()
        results = self._results(batch)
        self._events.call_soon_threadsafe(self._finish, results, start, finished)

    def _finish(
        self, results: Sequence[tuple[list[_Item], Sequence[Any]]], start: float,
        finished: asyncio.Future[None],
    ) -> None:  # fmt: skip
        for items, answers in results:
            _settle(items, answers, start)
        count = sum(len(items) for items, _ in results)
        self._costs.observe("query", count, perf_counter() - start)
        finished.set_result(None)

    def _results(self, batch: Sequence[_Item]) -> list[tuple[list[_Item], Sequence[Any]]]:
        """Run ``batch``, each handler its part of it; return the items with their results."""
        results: list[tuple[list[_Item], Sequence[Any]]] = []
        for handler in self._handlers:
            items = [item for item in batch if item.handler == handler]
            if not items:
                continue
            try:
                answers = handler([item.work for item in items])
                results.append((items, [answer for _, answer in zip(items, answers, strict=True)]))
            # Any error is the result of these items; it must not end the server.
            except Exception as error:
                results.append((items, [error] * len(items)))
        return results

    async def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        self._owed = min(self._owed + _BULK_SHARE * self._size, self._size) if self._bulk else 0.0
        while self.waiting and len(batch) < self._size:
            owed = self._size - len(batch) <= int(self._owed)
            is_bulk = bool(self._bulk) and (owed or not self._single)
            item = (self._bulk if is_bulk else self._single).popleft()
            if item.future.done():  # its deadline has passed
                continue
            if perf_counter() - item.since > self._ask_after and await item.is_disconnected():
                _settle([item], [DeadlinePassed("the client has disconnected")], item.since)
                continue
            batch.append(item)
            if is_bulk:
                self._owed = max(self._owed - 1, 0.0)
        if not self.waiting:
            self._arrived.clear()
        return batch


def check_room(
    kind: str, waiting: int, more: int, capacity: int, costs: CostModel, at_once: int = 1
) -> None:
    """Raise QueueFull if ``more`` pieces of this kind of work do not fit into the queue.

    The caller is told to come back when those that wait will be done, ``at_once`` side by side.
    """
    if waiting + more > capacity:
        seconds = costs.estimate(kind, waiting) / at_once
        raise QueueFull(waiting, max(1, round(seconds)))


def deadline_passed(seconds: float | None) -> DeadlinePassed:
    """Return the error of a request that got no answer within ``seconds``."""
    return DeadlinePassed(f"no answer within {(seconds or 0) * 1000:.0f} ms")


async def _outcomes(futures: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """Return the results of ``futures``, or their exceptions; cancelled, it cancels them."""
    if len(futures) != 1:
        return await asyncio.gather(*futures, return_exceptions=True)
    try:
        return [await futures[0]]
    except Exception as error:  # the caller says which it raises
        return [error]


def _settle(batch: Sequence[_Item], results: Sequence[Any], start: float) -> None:
    for item, result in zip(batch, results, strict=True):
        if item.future.done():
            continue
        if isinstance(result, Exception):
            item.future.set_exception(result)
        else:
            item.future.set_result((result, start - item.since))
