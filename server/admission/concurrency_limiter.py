"""A limit on how many long pieces of work run at once, so that short ones get in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from lurcher.errors import DeadlinePassed
from lurcher.retrieval.costs import CostModel
from lurcher.server.admission import IsDisconnected
from lurcher.server.admission.batching import Bounds, queue_full


class ConcurrencyLimiter:
    """Lets ``at_once`` pieces of a kind of work run, first come, first served; others wait in ``bounds``."""

    def __init__(self, kind: str, at_once: int, bounds: Bounds, costs: CostModel) -> None:
        self._kind, self._costs = kind, costs
        self._permits, self._at_once = asyncio.Semaphore(at_once), at_once
        self._bounds = bounds
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """The number of pieces of work that wait."""
        return self._waiting

    @asynccontextmanager
    async def permit(self, is_disconnected: IsDisconnected) -> AsyncIterator[None]:
        """Wait for a permit and hold it for the time of the block.

        Raises QueueFull if it would wait too long or too many wait, and DeadlinePassed if the client
        disconnects meanwhile.
        """
        must_wait = self._permits.locked()
        if must_wait:
            wait = self._costs.estimate(self._kind, self._waiting) / self._at_once
            late = wait - self._bounds.wait
            if late > 0 or self._waiting >= self._bounds.pieces:
                raise queue_full(self._waiting, late if late > 0 else wait)
        self._waiting += 1
        try:
            await self._permits.acquire()
        finally:
            self._waiting -= 1
        start = perf_counter()
        try:
            if must_wait and await is_disconnected():
                raise DeadlinePassed("the client has disconnected")
            yield
            self._costs.observe(self._kind, 1, perf_counter() - start)
        finally:
            self._permits.release()
