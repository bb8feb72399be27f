"""Micro-batches: take what waits, add no delay when idle.

One thread does the work. While it is busy, queries gather; when it is free it takes as many as fit.
An idle server therefore answers at once, and a busy one in batches, with no timer between. Single
searches are taken before those of batch requests, so a long batch does not hold them up. But a quarter
of the places is for what comes in bulk, as long as any waits, or steady single ones would starve it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from lurcher.models.errors import DeadlinePassed, LurcherError, NotReady, QueueFull

Work = TypeVar("Work")
Done = TypeVar("Done")

Run = Callable[[Sequence[Work]], Sequence[Done | LurcherError]]
Gone = Callable[[], Awaitable[bool]]

# Asking whether a client is still there costs a little; one that has just come surely is.
_ASK_AFTER_SECONDS = 0.02

# Of the places in a batch, those for bulk works that wait.
_BULK_SHARE = 0.25


@dataclass(slots=True, eq=False)
class _Item(Generic[Work, Done]):
    work: Work
    gone: Gone
    since: float
    future: asyncio.Future[tuple[Done, float]]


class Batcher(Generic[Work, Done]):
    """A queue before a function that handles many at once.

    ``run`` is called in one thread with at most ``size`` works and returns a result or an error for
    each. At most ``capacity`` works wait.
    """

    def __init__(
        self, run: Run[Work, Done], size: int, capacity: int, ask_after: float = _ASK_AFTER_SECONDS
    ) -> None:
        self._run = run
        self._size = size
        self._capacity = capacity
        self._ask_after = ask_after
        self._stopped = False
        self._single: deque[_Item[Work, Done]] = deque()
        self._bulk: deque[_Item[Work, Done]] = deque()
        self._owed = 0.0  # places that bulk works have a right to; parts of one add up
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "pipeline")
        self._loop = asyncio.create_task(self._work())
        self._seconds_per_item = 0.01

    @property
    def waiting(self) -> int:
        """How many works wait."""
        return len(self._single) + len(self._bulk)

    async def submit(
        self,
        works: Sequence[Work],
        seconds: float,
        gone: Gone,
        *,
        however_full: bool = False,
    ) -> list[tuple[Done, float] | LurcherError]:
        """For each work its result and the seconds it waited, or its error; several works are bulk.

        Raises QueueFull where there is no room for all of them, unless they are to come in
        ``however_full`` the queue is, and DeadlinePassed after ``seconds``. What was not begun by then,
        or when the client is ``gone``, is never begun. Raises NotReady once the batcher was stopped.
        """
        if self._stopped:
            raise NotReady("the server is stopping")
        if self.waiting + len(works) > self._capacity and not however_full:
            retry_after = max(1, round(self.waiting * self._seconds_per_item))
            raise QueueFull(self.waiting, retry_after)
        create, now = asyncio.get_running_loop().create_future, perf_counter()
        items = [_Item[Work, Done](work, gone, now, create()) for work in works]
        (self._single if len(items) == 1 else self._bulk).extend(items)
        self._arrived.set()
        try:
            async with asyncio.timeout(seconds):  # on the way out it cancels every future
                found = await asyncio.gather(*(i.future for i in items), return_exceptions=True)
        except TimeoutError as error:
            raise DeadlinePassed(f"no answer within {seconds * 1000:.0f} ms") from error
        answers: list[tuple[Done, float] | LurcherError] = []
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, LurcherError):
                raise one
            answers.append(one)
        return answers

    async def stop(self) -> None:
        """Finish the batch in hand and take no more; what still waits gets NotReady."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        waiting = [*self._single, *self._bulk]
        _settle(waiting, [NotReady("the server is stopping")] * len(waiting), perf_counter())
        await asyncio.to_thread(self._thread.shutdown)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if self._stopped:
                return
            start, batch = perf_counter(), await self._take()
            if not batch:
                continue
            try:
                results = await loop.run_in_executor(
                    self._thread, self._run, [item.work for item in batch]
                )
                _settle(batch, results, start)
            # Whatever went wrong is the answer to those who asked, not the end of the server.
            except Exception as error:
                _settle(batch, [error] * len(batch), start)
            self._seconds_per_item += 0.1 * (
                (perf_counter() - start) / len(batch) - self._seconds_per_item
            )

    async def _take(self) -> list[_Item[Work, Done]]:
        batch: list[_Item[Work, Done]] = []
        self._owed = min(self._owed + _BULK_SHARE * self._size, self._size) if self._bulk else 0.0
        while self.waiting and len(batch) < self._size:
            owed = self._size - len(batch) <= int(self._owed)
            is_bulk = bool(self._bulk) and (owed or not self._single)
            item = (self._bulk if is_bulk else self._single).popleft()
            if item.future.done():  # its deadline has passed
                continue
            if perf_counter() - item.since > self._ask_after and await item.gone():
                _settle([item], [DeadlinePassed("the client has gone")], item.since)
                continue
            batch.append(item)
            if is_bulk:
                self._owed = max(self._owed - 1, 0.0)
        if not self.waiting:
            self._arrived.clear()
        return batch


def _settle(
    batch: Sequence[_Item[Work, Done]], results: Sequence[Done | Exception], start: float
) -> None:
    for item, result in zip(batch, results, strict=True):
        if item.future.done():
            continue
        if isinstance(result, Exception):
            item.future.set_exception(result)
        else:
            item.future.set_result((result, start - item.since))
