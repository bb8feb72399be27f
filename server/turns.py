"""Turns: a few of what takes long at a time, so that what is short gets in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from lurcher.models.errors import DeadlinePassed, QueueFull
from lurcher.server.batching import Gone


class Turns:
    """At most so many turns ``at_once``; first come, first served. At most ``capacity`` wait for theirs."""

    def __init__(self, at_once: int, capacity: int) -> None:
        self._turns, self._at_once = asyncio.Semaphore(at_once), at_once
        self._capacity = capacity
        self._waiting = 0
        self._seconds_a_turn = 0.05

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    @asynccontextmanager
    async def take(self, gone: Gone) -> AsyncIterator[None]:
        """Wait for a turn, which is the block's.

        Raises QueueFull where too many wait, and DeadlinePassed where the client is ``gone`` when it comes.
        """
        waits = self._turns.locked()
        if waits and self._waiting >= self._capacity:
            seconds = self._waiting * self._seconds_a_turn / self._at_once
            raise QueueFull(self._waiting, max(1, round(seconds)))
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        start = perf_counter()
        try:
            if waits and await gone():
                raise DeadlinePassed("the client has gone")
            yield
            self._seconds_a_turn += 0.1 * (perf_counter() - start - self._seconds_a_turn)
        finally:
            self._turns.release()
