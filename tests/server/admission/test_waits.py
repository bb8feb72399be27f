"""How long work may wait: what would wait longer is refused at once, and clients share the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lurcher.errors import LurcherError, QueueFull
from lurcher.server.admission.batching import Batcher
from tests.server.admission.batches import (
    CALM,
    PRICE,
    STAYS,
    ask,
    at_work,
    bounds,
    busy,
    queue,
    results,
)


def test_single_work_that_would_wait_too_long_is_refused_at_once() -> None:
    async def story() -> None:
        async with busy(capacity=100, wait=2.5 * PRICE) as (batcher, worker):
            await asyncio.sleep(2 * PRICE)  # what is in hand should be done by now
            waiting = [await queue(batcher, worker, name) for name in "ab"]
            kept = await queue(batcher, worker, "c")
            with pytest.raises(QueueFull) as refused:
                await ask(batcher, worker, "d")
            assert refused.value.retry_after == 1
            worker.gate.set()
            await asyncio.gather(*waiting, kept)

    asyncio.run(story())


def test_a_burst_may_wait_and_a_queue_that_stands_is_kept_short() -> None:
    async def story() -> None:
        async with busy(size=1, capacity=100, wait=20.5 * PRICE) as (batcher, worker):
            await asyncio.sleep(2 * PRICE)  # what is in hand should be done by now
            burst = [await queue(batcher, worker, name) for name in "abcdef"]
            assert batcher.patience == 20.5 * PRICE
            await asyncio.sleep(25 * PRICE)
            assert batcher.patience == PRICE
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "g")
            await asyncio.sleep(0.7 * CALM)
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "h")
            worker.gate.set()
            await asyncio.gather(*burst)
            await asyncio.sleep(0.7 * CALM)
            assert batcher.patience == PRICE  # it is empty, and may fill again at once
            await asyncio.sleep(0.4 * CALM)
            assert batcher.patience == 20.5 * PRICE

    asyncio.run(story())


def test_what_cannot_be_begun_before_its_deadline_is_refused() -> None:
    async def story() -> None:
        async with busy(capacity=100) as (batcher, worker):
            waiting = await queue(batcher, worker, "a", price=5.0)
            with pytest.raises(QueueFull) as refused:
                await ask(batcher, worker, "b", seconds=2.0, price=5.0)
            assert refused.value.retry_after in (3, 4)
            worker.gate.set()
            await waiting

    asyncio.run(story())


def test_bulk_work_may_wait_until_its_deadline() -> None:
    async def story() -> None:
        async with busy(capacity=100, wait=PRICE) as (batcher, worker):
            first = await queue(batcher, worker, "1", "2", price=4.0)
            second = await queue(batcher, worker, "3", "4", seconds=20.0, price=4.0)
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "5", "6", seconds=20.0, price=4.0)
            worker.gate.set()
            await asyncio.gather(first, second)

    asyncio.run(story())


def test_a_batch_too_large_for_its_deadline_is_begun_on_an_idle_server() -> None:
    async def story() -> None:
        async with at_work(capacity=100) as (batcher, worker):
            answers = await ask(batcher, worker, "1", "2", seconds=5.0, price=100.0)
            assert results(answers) == ["1", "2"]

    asyncio.run(story())


def test_a_client_with_much_does_not_make_others_wait() -> None:
    async def story() -> None:
        async with busy(size=1, capacity=100, wait=4 * PRICE) as (batcher, worker):
            await asyncio.sleep(2 * PRICE)
            heavy = [await queue(batcher, worker, name, name="heavy") for name in "abcd"]
            light = await queue(batcher, worker, "z", name="light")
            worker.gate.set()
            await asyncio.gather(*heavy, light)
            assert [work for batch in worker.batches for work in batch][1:4] == ["a", "z", "b"]

    asyncio.run(story())


def test_a_client_with_large_batches_does_not_make_others_batches_wait() -> None:
    async def story() -> None:
        async with busy(size=1, capacity=100) as (batcher, worker):
            heavy = await queue(batcher, worker, *"abcdef", price=4.0, name="heavy")
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "g", "h", seconds=20.0, name="heavy")
            light = await queue(batcher, worker, "y", "z", seconds=20.0, name="light")
            worker.gate.set()
            await asyncio.gather(heavy, light)
            done = [work for batch in worker.batches for work in batch]
            assert done.index("z") < done.index("f")

    asyncio.run(story())


def test_batches_that_fill_their_line_leave_room_for_single_work() -> None:
    async def story() -> None:
        async with busy(capacity=4) as (batcher, worker):
            bulk = await queue(batcher, worker, *"abcd")
            single = [await queue(batcher, worker, name) for name in "wxyz"]
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "one more")
            worker.gate.set()
            await asyncio.gather(bulk, *single)

    asyncio.run(story())


def test_a_batch_takes_a_slice_of_the_time_whatever_the_number_of_pieces() -> None:
    async def story() -> None:
        async with busy(size=4, capacity=100) as (batcher, worker):
            small = [await queue(batcher, worker, name, price=PRICE / 2) for name in "abcdefghij"]
            large = [await queue(batcher, worker, name, price=4 * PRICE) for name in "xy"]
            worker.gate.set()
            await asyncio.gather(*small, *large)
            taken = ["".join(batch) for batch in worker.batches[1:]]
            assert taken == ["abcdefgh", "ijx", "y"]

    asyncio.run(story())


def test_prices_are_corrected_by_what_work_takes() -> None:
    """Each piece takes ten times its price, so that fewer and fewer are taken together."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        taken: list[int] = []

        def slow(works: Sequence[str]) -> list[str | LurcherError]:
            taken.append(len(works))
            end = loop.time() + 10 * PRICE * len(works)
            while loop.time() < end:
                pass
            return list(works)

        batcher = Batcher([slow], bounds(16, 1_000))
        prices = [PRICE] * 200
        await batcher.submit(slow, ["x"] * 200, prices, None, STAYS, exempt=True)
        assert taken[0] == 16
        assert taken[-2] <= 4
        await batcher.stop()

    asyncio.run(story())
