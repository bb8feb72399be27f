"""A limit on how many long pieces of work run at once, so that short ones get in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from lurcher.errors import DeadlinePassed
from lurcher.retrieval.costs import CostModel
from lurcher.server.admission import Caller
from lurcher.server.admission.batching import Bounds, queue_full
from lurcher.server.admission.fair_queue import FairQueue


class ConcurrencyLimiter:
    """Lets ``at_once`` pieces of a kind of work run; others wait within ``bounds``, clients in turns."""

    def __init__(self, kind: str, at_once: int, bounds: Bounds, costs: CostModel) -> None:
        self._kind, self._costs, self._bounds = kind, costs, bounds
        self._free = self._at_once = at_once
        # Whoever gave up waiting is still in it, cancelled.
        self._line: FairQueue[asyncio.Future[None]] = FairQueue()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """The number of pieces of work that wait."""
        return self._waiting

    @asynccontextmanager
    async def permit(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a permit and hold it for the time of the block.

        Raises QueueFull if it would wait too long or too many wait, and DeadlinePassed if the client
        disconnects meanwhile.
        """
        must_wait = not self._free
        if must_wait:
            await self._turn(caller.client)
        else:
            self._free -= 1
        start = perf_counter()
        try:
            if must_wait and caller.is_disconnected():
                raise DeadlinePassed("the client has disconnected")
            yield
            self._costs.observe(self._kind, 1, perf_counter() - start)
        finally:
            self._give_back()

    async def _turn(self, client: str) -> None:
        """Wait for the permit of somebody who is through. Raises QueueFull."""
        price = self._costs.estimate(self._kind, 1)
        wait = self._line.before(client, price) / self._at_once
        late = wait - self._bounds.wait
        if late > 0 or self._waiting >= self._bounds.pieces:
            raise queue_full(self._waiting, late if late > 0 else wait)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.push(client, price, turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the permit came in the same moment
                self._give_back()
            raise
        finally:
            self._waiting -= 1

    def _give_back(self) -> None:
        """Hand a permit to whose turn it is, or keep it for who comes next."""
        while self._line:
            _, turn = self._line.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
