"""Turns: no more at once than there are, in the order asked for, and each one is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lurcher.models.errors import DeadlinePassed, QueueFull
from lurcher.server.turns import Turns


async def here() -> bool:
    return False


async def gone() -> bool:
    return True


class Taker:
    """Takes turns of ``turns``, each until it may end; notes who has one."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.has: list[int] = []
        self.had: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}

    def start(
        self, number: int, client: Callable[[], Awaitable[bool]] = here
    ) -> asyncio.Task[None]:
        self._ends[number] = asyncio.Event()
        return asyncio.create_task(self._take(number, client))

    def end(self, number: int) -> None:
        self._ends[number].set()

    async def _take(self, number: int, client: Callable[[], Awaitable[bool]]) -> None:
        async with self._turns.take(client):
            self.has.append(number)
            try:
                await self._ends[number].wait()
            finally:
                self.has.remove(number)
                self.had.append(number)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_no_more_at_once_and_first_come_first_served() -> None:
    async def test() -> None:
        turns = Turns(2, 10)
        taker = Taker(turns)
        tasks = [taker.start(number) for number in range(5)]
        await settled()
        assert (taker.has, turns.waiting) == ([0, 1], 3)
        for number in (1, 0, 2, 3, 4):
            assert len(taker.has) <= 2
            taker.end(number)
            await settled()
        assert taker.had == [1, 0, 2, 3, 4]
        await asyncio.gather(*tasks)
        assert turns.waiting == 0

    asyncio.run(test())


def test_where_too_many_wait_the_next_is_told_when_to_try_again() -> None:
    async def test() -> None:
        turns = Turns(1, 1)
        taker = Taker(turns)
        tasks = [taker.start(number) for number in range(2)]
        await settled()
        with pytest.raises(QueueFull) as full:
            await taker.start(2)
        assert full.value.retry_after >= 1
        assert turns.waiting == 1
        for number in (0, 1):
            taker.end(number)
        await asyncio.gather(*tasks)
        assert taker.had == [0, 1]

    asyncio.run(test())


def test_without_room_to_wait_a_free_turn_is_taken() -> None:
    async def test() -> None:
        turns, taken = Turns(1, 0), 0
        for _ in range(2):
            async with turns.take(here):
                taken += 1
                with pytest.raises(QueueFull):
                    await turns.take(here).__aenter__()
        assert (taken, turns.waiting) == (2, 0)

    asyncio.run(test())


def test_a_turn_of_one_who_has_gone_is_given_back() -> None:
    async def test() -> None:
        taker = Taker(Turns(1, 10))
        tasks = [taker.start(0), taker.start(1, gone), taker.start(2)]
        await settled()
        taker.end(0)
        await settled()
        assert taker.has == [2]
        taker.end(2)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [type(None), DeadlinePassed, type(None)]

    asyncio.run(test())


def test_who_stops_waiting_or_fails_keeps_no_turn() -> None:
    async def test() -> None:
        turns = Turns(1, 10)
        taker = Taker(turns)
        tasks = [taker.start(number) for number in range(3)]
        await settled()
        tasks[1].cancel()
        await settled()
        assert turns.waiting == 1
        tasks[0].cancel()
        await settled()
        assert (taker.has, turns.waiting) == ([2], 0)
        taker.end(2)
        await tasks[2]
        with pytest.raises(ZeroDivisionError):
            async with turns.take(here):
                raise ZeroDivisionError
        async with turns.take(here):
            pass

    asyncio.run(test())
