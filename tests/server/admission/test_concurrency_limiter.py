"""The concurrency limiter: no more at once than it allows, clients in turns, no permit lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lurcher.errors import DeadlinePassed, QueueFull
from lurcher.retrieval.costs import CostModel
from lurcher.server.admission import Caller
from lurcher.server.admission.concurrency_limiter import ConcurrencyLimiter
from tests.server.admission.batches import STAYS, bounds, disconnected, stays


def limit(
    at_once: int, capacity: int, costs: CostModel | None = None, wait: float = 1_000.0
) -> ConcurrencyLimiter:
    return ConcurrencyLimiter("question", at_once, bounds(1, capacity, wait), costs or CostModel())


class Taker:
    """Takes permits of ``limiter``, each until it may end; notes who has one."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self.has: list[int] = []
        self.had: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}

    def start(
        self, number: int, client: Callable[[], Awaitable[bool]] = stays, name: str = "somebody"
    ) -> asyncio.Task[None]:
        self._ends[number] = asyncio.Event()
        return asyncio.create_task(self._take(number, Caller(name, client)))

    def end(self, number: int) -> None:
        self._ends[number].set()

    async def _take(self, number: int, caller: Caller) -> None:
        async with self._limiter.permit(caller):
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
        limiter = limit(2, 10)
        taker = Taker(limiter)
        tasks = [taker.start(number) for number in range(5)]
        await settled()
        assert (taker.has, limiter.waiting) == ([0, 1], 3)
        for number in (1, 0, 2, 3, 4):
            assert len(taker.has) <= 2
            taker.end(number)
            await settled()
        assert taker.had == [1, 0, 2, 3, 4]
        await asyncio.gather(*tasks)
        assert limiter.waiting == 0

    asyncio.run(test())


def test_who_asks_much_lets_others_go_before_the_rest_of_it() -> None:
    async def test() -> None:
        taker = Taker(limit(1, 10))
        tasks = [taker.start(number, name="heavy") for number in range(5)]
        await settled()
        tasks.append(taker.start(9, name="light"))
        await settled()
        for number in (0, 1, 9, 2, 3, 4):
            assert taker.has == [number]
            taker.end(number)
            await settled()
        await asyncio.gather(*tasks)

    asyncio.run(test())


def test_a_light_client_is_not_refused_for_what_a_heavy_one_waits_for() -> None:
    async def test() -> None:
        taker = Taker(limit(1, 100, CostModel({"question": 10.0}), wait=25.0))
        tasks = [taker.start(number, name="heavy") for number in range(4)]
        await settled()
        with pytest.raises(QueueFull):
            await taker.start(4, name="heavy")
        tasks.append(taker.start(9, name="light"))
        await settled()
        for number in (0, 1, 9, 2, 3):
            taker.end(number)
            await settled()
        await asyncio.gather(*tasks)

    asyncio.run(test())


def test_where_too_many_wait_the_next_is_told_when_to_try_again() -> None:
    async def test() -> None:
        limiter = limit(1, 1)
        taker = Taker(limiter)
        tasks = [taker.start(number) for number in range(2)]
        await settled()
        with pytest.raises(QueueFull) as full:
            await taker.start(2)
        assert full.value.retry_after >= 1
        assert limiter.waiting == 1
        for number in (0, 1):
            taker.end(number)
        await asyncio.gather(*tasks)
        assert taker.had == [0, 1]

    asyncio.run(test())


def test_without_room_to_wait_a_free_permit_is_taken() -> None:
    async def test() -> None:
        limiter, taken = limit(1, 0), 0
        for _ in range(2):
            async with limiter.permit(STAYS):
                taken += 1
                with pytest.raises(QueueFull):
                    await limiter.permit(STAYS).__aenter__()
        assert (taken, limiter.waiting) == (2, 0)

    asyncio.run(test())


def test_the_permit_of_a_disconnected_client_is_given_back() -> None:
    async def test() -> None:
        taker = Taker(limit(1, 10))
        tasks = [taker.start(0), taker.start(1, disconnected), taker.start(2)]
        await settled()
        taker.end(0)
        await settled()
        assert taker.has == [2]
        taker.end(2)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [type(None), DeadlinePassed, type(None)]

    asyncio.run(test())


def test_who_stops_waiting_or_fails_keeps_no_permit() -> None:
    async def test() -> None:
        limiter = limit(1, 10)
        taker = Taker(limiter)
        tasks = [taker.start(number) for number in range(3)]
        await settled()
        tasks[1].cancel()
        await settled()
        assert limiter.waiting == 1
        tasks[0].cancel()
        await settled()
        assert (taker.has, limiter.waiting) == ([2], 0)
        taker.end(2)
        await tasks[2]
        with pytest.raises(ZeroDivisionError):
            async with limiter.permit(STAYS):
                raise ZeroDivisionError
        async with limiter.permit(STAYS):
            pass

    asyncio.run(test())


@pytest.mark.parametrize(
    ("limiter", "there", "pause"),
    [
        pytest.param(
            lambda: limit(2, 6, CostModel({"question": 10.0})), 8, 30,
            id="six wait for two side by side, there is room for no more",
        ),
        pytest.param(
            lambda: limit(1, 100, CostModel({"question": 10.0}), wait=15.0), 3, 5,
            id="two wait for one, there is room, and fifteen seconds may be waited for",
        ),
    ],
)  # fmt: skip
def test_who_is_refused_is_told_when_there_will_be_room(
    limiter: Callable[[], ConcurrencyLimiter], there: int, pause: int
) -> None:
    """Each takes ten seconds."""

    async def test() -> None:
        taker = Taker(limiter())
        tasks = [taker.start(number) for number in range(there)]
        await settled()
        with pytest.raises(QueueFull) as full:
            await taker.start(there)
        assert full.value.retry_after == pause
        for number in range(there):
            taker.end(number)
        await asyncio.gather(*tasks)

    asyncio.run(test())


def test_what_a_permit_took_is_measured_unless_it_failed() -> None:
    async def test() -> None:
        costs = CostModel({"question": 10.0})
        limiter = limit(1, 1, costs)
        with pytest.raises(ZeroDivisionError):
            async with limiter.permit(STAYS):
                raise ZeroDivisionError
        assert costs.estimate("question", 1) == 10.0
        async with limiter.permit(STAYS):
            pass
        assert costs.estimate("question", 1) == pytest.approx(9.0, abs=0.01)

    asyncio.run(test())
