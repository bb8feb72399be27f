"""Micro-batches: run together what is waiting, add no delay when idle, and let nobody wait for long.

One thread does the work. While it is busy, work queues up; when it is free, it takes a slice of it: as much
as takes some thirty milliseconds, so that what arrives next need not wait for more. So an idle server answers
at once and a busy one in batches, without a timer.

Single pieces of work go before those of requests with many (bulk work), so that a long request does not hold
them up; as long as bulk work waits, a quarter of the time is reserved for it, or steady single requests would
starve it. Within each kind, clients have equal shares (``fair_queue``).

Work whose price is more than a slice is long: it has a line and a thread of its own. Only one of both
threads works at a time (``baton``): after a third of a slice long work lets others go first, if any wait.

Every piece of work comes with its price, the seconds that it is expected to take. What would wait too long is
refused at once: a queue bounded by a number of requests is no bound on time. A burst may wait as long as the
bounds say. A queue that has not been empty for half of that is no burst but more than can be served. It only
adds its own length to every reply, so it is kept short (CoDel, Nichols and Jacobson 2012, tells the two apart
in this way), and stays short until for a second nothing was refused: a short queue is empty now and then, and
would fill again at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Condition, RLock, Thread
from time import perf_counter
from typing import Any, TypeVar

import structlog

from lurcher.errors import DeadlinePassed, LurcherError, NotReady, QueueFull
from lurcher.server.admission import Caller, IsDisconnected
from lurcher.server.admission.baton import Baton
from lurcher.server.admission.fair_queue import FairQueue

_log = structlog.get_logger()

Work = TypeVar("Work")
Done = TypeVar("Done")

# Does many pieces of work at once; returns a result or an error for each.
Handler = Callable[[Sequence[Work]], Sequence[Done | LurcherError]]

# Share of the time that is reserved for waiting bulk work.
_BULK_SHARE = 0.25
# How far one batch moves the ratio of what work takes to its price, on a logarithmic scale: one batch that
# was held up by something else says little.
_RATE = 0.1
_LEAST_RATIO, _MOST_RATIO = 0.01, 100.0
# Slices that may be in hand and wait where the queue stands: what comes next is there before one is done.
_STANDING = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work may wait and run together."""

    pieces: int  # single ones that may wait, and as many of bulk work
    wait: float  # seconds that single work may wait
    together: int  # pieces in a batch
    slice: float = 0.03  # seconds that a batch should take
    calm: float = 1.0  # seconds without a refusal, after which a queue that stood does so no more


@dataclass(slots=True, eq=False)
class _Item:
    handler: Handler[Any, Any]
    work: Any
    is_disconnected: IsDisconnected
    since: float
    future: asyncio.Future[tuple[Any, float]]


class Batcher:
    """A queue in front of ``handlers``, within ``bounds``; one thread calls them with work together.

    Within a batch, handlers are called in the order given here. The thread takes its work itself: between two
    batches it need not wait for the event loop, which a server that refuses many has busy.
    """

    def __init__(
        self, handlers: Sequence[Handler[Any, Any]], bounds: Bounds, rate: float = _RATE
    ) -> None:
        self._handlers, self._bounds, self._rate = tuple(handlers), bounds, rate
        # Held by whoever reads or changes what follows.
        self._lock = RLock()
        self._arrived, self._long_arrived = Condition(self._lock), Condition(self._lock)
        self._stopped = False
        self._single: FairQueue[_Item] = FairQueue()
        self._bulk: FairQueue[_Item] = FairQueue()
        self._long: FairQueue[_Item] = FairQueue()
        self._owed = 0.0  # seconds that bulk work has a right to
        self._ratio = 1.0  # of what work takes to its price
        self._free_at = 0.0  # when the batch in hand should be done
        self._long_until = 0.0  # and the long work
        self._empty_at = perf_counter()  # when no single work waited, last
        self._stood_at = -math.inf  # when there was more single work than can be done, last
        # Of both threads' time long work has the share of bulk work.
        self.baton = Baton(bounds.slice * _BULK_SHARE / (1 - _BULK_SHARE), _BULK_SHARE)
        self._events = asyncio.get_running_loop()
        self._threads = [
            Thread(target=self._work, name="pipeline", daemon=True),
            Thread(target=self._work_long, name="long", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of pieces of work that wait."""
        with self._lock:
            return len(self._single) + len(self._bulk) + len(self._long)

    @property
    def oldest(self) -> float:
        """The seconds that what waits longest has waited, 0 where nothing does."""
        with self._lock:
            heads = [*self._single.heads, *self._bulk.heads, *self._long.heads]
        since = min((item.since for item in heads if not item.future.done()), default=None)
        return 0.0 if since is None else perf_counter() - since

    def wait(self, client: str, price: float) -> float:
        """The seconds that a single piece of work of ``client`` for ``price`` would wait."""
        with self._lock:
            now = perf_counter()
            if self._is_long(price):
                share = _BULK_SHARE if self._stands() else 1.0
                before = self._long.before(client, price) * self._ratio
                return (max(0.0, self._long_until - now) + before) / share
            share = 1 - _BULK_SHARE if self._bulk or self._long_until > now else 1.0
            before = self._single.before(client, price) * self._ratio
            return max(0.0, self._free_at - now) + before / share

    def _is_long(self, price: float) -> bool:
        """Whether work for ``price`` is done beside other work, and not in a batch.

        By its price alone: on a slow machine, or a busy one, what most ask for would else be long, too.
        """
        return price > self._bounds.slice

    @property
    def patience(self) -> float:
        """The seconds that single work may wait, if it comes now."""
        most = self._bounds.wait
        with self._lock:
            return min(most, _STANDING * self._bounds.slice) if self._stands() else most

    def _stands(self) -> bool:
        """Whether there is more single work than can be done, for a while and not only in a burst.

        Notes when it was so, last.
        """
        now = perf_counter()
        if self._single and now - self._empty_at > self._bounds.wait / 2:
            self._stood_at = now
        return now - self._stood_at < self._bounds.calm

    def pressure(self, client: str, price: float) -> float:
        """What such work would wait, over the longest that it may: the ladder's measure."""
        return self.wait(client, price) / self.patience

    def add(self, handlers: Sequence[Handler[Any, Any]]) -> None:
        """Call ``handlers``, too, after those that there are."""
        self._handlers = (*self._handlers, *handlers)

    def remove(self, handlers: Sequence[Handler[Any, Any]]) -> None:
        """Call ``handlers`` no more; no work of theirs waits."""
        self._handlers = tuple(one for one in self._handlers if one not in handlers)

    async def submit(
        self, handler: Handler[Work, Done], works: Sequence[Work], prices: Sequence[float],
        seconds: float | None, caller: Caller, *, exempt: bool = False,
    ) -> list[tuple[Done, float] | LurcherError]:  # fmt: skip
        """Return for each of ``works`` its result and the seconds it waited, or its error; several are bulk.

        ``prices`` are the seconds that each is expected to take. Raises QueueFull where they would wait too
        long or there is no room for all of them, unless they are ``exempt`` from limits, and DeadlinePassed
        after ``seconds`` (None: never). What was not begun by then, or when the client has disconnected, is
        never begun. Raises NotReady once the batcher was stopped.
        """
        create, now = self._events.create_future, perf_counter()
        items = [_Item(handler, work, caller.is_disconnected, now, create()) for work in works]
        with self._lock:
            if self._stopped:
                raise NotReady("the server is stopping")
            if not exempt:
                self._check_room(prices, seconds, caller.client)
            self._queue(items, prices, caller.client)
        async with within(seconds):  # on the way out it cancels every future
            done = await _outcomes([item.future for item in items])
        answers: list[tuple[Done, float] | LurcherError] = []
        for one in done:
            if isinstance(one, Exception) and not isinstance(one, LurcherError):
                if len(done) == 1:
                    raise one
                _log.error("unexpected error", exc_info=one)
                one = LurcherError("the server failed unexpectedly; its log has the details")
            answers.append(one)
        return answers

    def _check_room(self, prices: Sequence[float], seconds: float | None, client: str) -> None:
        """Raise QueueFull if these pieces of work would wait too long, or are too many.

        Single ones may wait as long as the bounds say, and bulk ones until their deadline. They are counted
        apart, so that whoever fills one line leaves room in the other.
        """
        if len(prices) == 1:
            wait, waiting = self.wait(client, prices[0]), len(self._single)
            most = self._bounds.wait if self._is_long(prices[0]) else self.patience
            if wait > most and self._stands():
                self._stood_at = perf_counter()
            most = most if seconds is None else min(most, seconds)
        else:
            price, waiting = sum(prices), len(self._bulk) + len(self._long)
            lines = self._bulk.before(client, price) + self._long.before(client, price)
            before = (self._single.seconds + lines) * self._ratio
            now = perf_counter()
            in_hand = max(0.0, self._free_at - now) + max(0.0, self._long_until - now)
            wait = in_hand + before
            # What an idle server could not do in time, either, is told by its deadline.
            own = price * self._ratio if before else 0.0
            most = math.inf if seconds is None else max(0.0, seconds - own)
        if wait > most or waiting + len(prices) > self._bounds.pieces:
            raise queue_full(self.waiting, wait - most if wait > most else wait)

    def _queue(self, items: Sequence[_Item], prices: Sequence[float], client: str) -> None:
        """Put ``items`` into their lines, and wake whoever works on them."""
        if not self._single:
            self._empty_at = perf_counter()
        line = self._single if len(items) == 1 else self._bulk
        for price, item in zip(prices, items, strict=True):
            is_long = self._is_long(price)
            (self._long if is_long else line).push(client, price, item)
            if not is_long:
                self.baton.tell(busy=True)
            (self._long_arrived if is_long else self._arrived).notify()

    async def stop(self) -> None:
        """Finish the current batch and take no more; what still waits gets NotReady."""
        with self._lock:
            self._stopped = True
            self._arrived.notify()
            self._long_arrived.notify()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        lines = (self._single, self._bulk, self._long)
        waiting = [line.pop()[1] for line in lines for _ in range(len(line))]
        _settle(waiting, [NotReady("the server is stopping")] * len(waiting), perf_counter())

    # In the threads that work.

    def _work(self) -> None:
        while True:
            with self._lock:
                self._arrived.wait_for(lambda: self._stopped or self._single or self._bulk)
                if self._stopped:
                    # Or long work in hand would wait for what does not come.
                    self.baton.tell(busy=False)
                    return
                batch, price = self._take()
                self._free_at = perf_counter() + price * self._ratio
            if batch:
                self._run(batch, price, long=False)
            with self._lock:
                self._free_at = perf_counter()
                self.baton.tell(busy=bool(self._single or self._bulk))
            del batch  # or what it works on would stay in memory until the next one

    def _work_long(self) -> None:
        while True:
            with self._lock:
                self._long_arrived.wait_for(lambda: self._stopped or self._long)
                if self._stopped:
                    return
                price, item = self._long.pop()
                self._long_until = perf_counter() + price * self._ratio
            if self._is_wanted(item):
                self._run([item], price, long=True)
            with self._lock:
                self._long_until = perf_counter()
            del item

    def _run(self, batch: Sequence[_Item], price: float, *, long: bool) -> None:
        """Run ``batch`` when it is its turn, and let the event loop settle its items, by one call of it."""
        # Of several pieces of work each is done alone where one fails, so that none may end the others.
        with self.baton.held(lambda: len(batch) == 1 and batch[0].future.done(), long=long):
            begun, start = perf_counter(), self.baton.clock()
            results = self._results(batch)
            spent = self.baton.clock() - start
        if price:
            seen = min(max(spent / price, _LEAST_RATIO), _MOST_RATIO)
            with self._lock:
                self._ratio *= (seen / self._ratio) ** self._rate

        def finish() -> None:
            for items, answers in results:
                _settle(items, answers, begun)

        self._events.call_soon_threadsafe(finish)

    def _results(self, batch: Sequence[_Item]) -> list[tuple[list[_Item], Sequence[Any]]]:
        """Run ``batch``, each handler its part of it; return the items with their results."""
        results: list[tuple[list[_Item], Sequence[Any]]] = []
        for handler in self._handlers:
            items = [item for item in batch if item.handler == handler]
            if items:
                results.append((items, _done(handler, [item.work for item in items])))
        return results

    def _take(self) -> tuple[list[_Item], float]:
        """The next batch, a slice of what waits, and its price."""
        batch: list[_Item] = []
        spent, budget = 0.0, self._bounds.slice / self._ratio
        self._owed = min(self._owed + _BULK_SHARE * budget, budget) if self._bulk else 0.0
        while (
            (self._single or self._bulk)
            and len(batch) < self._bounds.together
            and (spent < budget or not batch)
        ):
            owed = spent >= budget - self._owed
            is_bulk = bool(self._bulk) and (owed or not self._single)
            price, item = (self._bulk if is_bulk else self._single).pop()
            if not self._is_wanted(item):
                continue
            batch.append(item)
            spent += price
            if is_bulk:
                # It may take more than it has a right to, and gives that back in the next batches.
                self._owed = max(self._owed - price, -budget / _BULK_SHARE)
        if not self._single:
            self._empty_at = perf_counter()
        return batch, spent

    def _is_wanted(self, item: _Item) -> bool:
        """Whether anybody still waits for ``item``; one whose client has disconnected is settled."""
        if item.future.done():  # its deadline has passed
            return False
        if item.is_disconnected():
            gone = DeadlinePassed("the client has disconnected")
            self._events.call_soon_threadsafe(_settle, [item], [gone], item.since)
            return False
        return True


def queue_full(waiting: int, seconds: float) -> QueueFull:
    """Return the error of a request for which ``waiting`` others leave no room for so many ``seconds``."""
    return QueueFull(waiting, max(1, math.ceil(seconds)))


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Cancel the block after so many ``seconds`` (None: never), and raise DeadlinePassed."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DeadlinePassed(f"no answer within {(seconds or 0) * 1000:.0f} ms") from error


def _done(handler: Handler[Any, Any], works: Sequence[Any]) -> list[Any]:
    """The result of each of ``works``, or its error.

    A bug that one of them brings to light is its own error: the others are done again, each alone.
    """
    try:
        return [done for _, done in zip(works, handler(works), strict=True)]
    # Any error is the result of these works; it must not end the server.
    except Exception as error:
        if len(works) == 1:
            return [error]
        return [_done(handler, [work])[0] for work in works]


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
