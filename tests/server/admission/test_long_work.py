"""Long work beside short work: it lets others go first at each pause, and comes to its end all the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from lurcher.errors import DeadlinePassed, LurcherError, QueueFull
from lurcher.server.admission.batching import Batcher
from lurcher.server.admission.baton import Baton
from tests.server.admission.batches import PATIENCE, PRICE, STAYS, ask, bounds

SLICE = 4  # pieces of work for PRICE
LONG = 1.0  # seconds


class Pausing:
    """Does work named ``long…`` in steps, with a pause before each, until ``enough``; other work at once."""

    def __init__(self, batcher: Batcher) -> None:
        self._baton = batcher.baton
        self.done: list[str] = []
        self.begun = asyncio.Event()
        self.enough = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, works: Sequence[str]) -> Sequence[str | LurcherError]:
        for work in works:
            if work.startswith("long"):
                self._loop.call_soon_threadsafe(self.begun.set)
                while not self.enough.is_set():
                    self._baton.pause()
            self.done.append(work)
        return works


async def batcher_of() -> tuple[Batcher, Pausing]:
    batcher = Batcher([], bounds(SLICE, capacity=100), rate=0)
    work = Pausing(batcher)
    batcher.add([work])
    return batcher, work


def test_short_work_is_done_while_long_work_goes_on() -> None:
    async def story() -> None:
        batcher, work = await batcher_of()
        long = asyncio.ensure_future(ask(batcher, work, "long", price=LONG))
        await work.begun.wait()
        for name in "abc":
            await ask(batcher, work, name)
        await ask(batcher, work, "1", "2")
        assert work.done == ["a", "b", "c", "1", "2"]
        work.enough.set()
        ((answer, _),) = await long  # type: ignore[misc]  # no error
        assert answer == "long"
        await batcher.stop()

    asyncio.run(story())


def test_one_piece_of_long_work_is_in_hand_at_a_time() -> None:
    async def story() -> None:
        batcher, work = await batcher_of()
        first = asyncio.ensure_future(ask(batcher, work, "long 1", price=LONG))
        await work.begun.wait()
        more = asyncio.ensure_future(ask(batcher, work, "long 2", "long 3", price=LONG))
        await ask(batcher, work, "a")
        assert batcher.waiting == 2
        work.enough.set()
        await asyncio.gather(first, more)
        assert work.done == ["a", "long 1", "long 2", "long 3"]
        await batcher.stop()

    asyncio.run(story())


def test_long_work_that_nobody_waits_for_ends_at_its_next_pause() -> None:
    async def story() -> None:
        batcher, work = await batcher_of()
        with pytest.raises(DeadlinePassed):
            await ask(batcher, work, "long", price=LONG, seconds=0.01)
        await asyncio.wait_for(batcher.stop(), PATIENCE)  # `enough` is never set
        assert work.done == []

    asyncio.run(story())


def test_long_work_is_refused_where_other_long_work_leaves_no_time() -> None:
    async def story() -> None:
        batcher = Batcher([], bounds(SLICE, capacity=100, wait=0.5 * LONG), rate=0)
        work = Pausing(batcher)
        batcher.add([work])
        first = asyncio.ensure_future(ask(batcher, work, "long 1", price=LONG))
        await work.begun.wait()
        with pytest.raises(QueueFull):
            await ask(batcher, work, "long 2", price=LONG)
        await ask(batcher, work, "a")
        work.enough.set()
        await first
        await batcher.stop()

    asyncio.run(story())


def test_on_a_slow_machine_ordinary_work_does_not_become_long() -> None:
    async def story() -> None:
        batcher = Batcher([], bounds(SLICE, capacity=100), rate=1)
        work = Pausing(batcher)
        stop = threading.Event()

        def slow(works: Sequence[str]) -> Sequence[str]:
            stop.wait(20 * SLICE * PRICE)
            return works

        batcher.add([work, slow])
        await ask(batcher, slow, "a")  # takes as long as twenty slices
        long = asyncio.ensure_future(ask(batcher, work, "long", price=LONG))
        await work.begun.wait()
        await ask(batcher, work, "b")
        work.enough.set()
        await long
        assert work.done == ["b", "long"]
        await batcher.stop()

    asyncio.run(story())


def test_pauses_are_no_work() -> None:
    async def story() -> None:
        batcher, work = await batcher_of()
        baton, times = batcher.baton, list[float]()

        def measured(works: Sequence[str]) -> Sequence[str]:
            start = baton.clock()
            work(works)
            times.append(baton.clock() - start)
            return works

        slow = threading.Event()

        def short(works: Sequence[str]) -> Sequence[str]:
            slow.wait(0.2)
            work.enough.set()
            return works

        batcher.add([measured, short])
        long = asyncio.ensure_future(batcher.submit(measured, ["long"], [LONG], None, STAYS))
        await work.begun.wait()
        await ask(batcher, short, "a")
        await long
        assert times[0] < 0.2
        await batcher.stop()

    asyncio.run(story())


def test_short_work_makes_up_for_long_work_that_did_not_pause() -> None:
    baton, order = Baton(0.0, share=0.25), list[str]()
    baton.tell(busy=True)

    def hold_long() -> None:
        with baton.held(lambda: False, long=True):
            time.sleep(0.02)
            baton.pause()
            order.append("long")

    thread = threading.Thread(target=hold_long)
    thread.start()
    start = time.perf_counter()
    while "long" not in order and time.perf_counter() - start < PATIENCE:
        with baton.held(lambda: False, long=False):
            time.sleep(0.005)
            order.append("short")
    thread.join(PATIENCE)
    # Three times as long as the long work took.
    assert order.count("short") >= 10
    assert order[-1] == "long" or order[-2] == "long"


def test_long_work_has_all_the_time_that_short_work_leaves() -> None:
    baton = Baton(0.0, share=0.25)
    baton.tell(busy=True)
    with baton.held(lambda: False, long=True):
        thread = threading.Timer(0.01, lambda: baton.tell(busy=False))
        thread.start()
        time.sleep(0.005)
        baton.pause()  # until nobody wants it any more
    thread.join(PATIENCE)
