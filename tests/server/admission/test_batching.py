"""The queue before the core: who goes with whom, who goes first, and who does not go at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lurcher.errors import DeadlinePassed, FieldError, LurcherError, NotReady, QueueFull
from lurcher.server.admission.batching import Batcher
from tests.server.admission.batches import (
    PRICE,
    STAYS,
    Worker,
    ask,
    at_work,
    bounds,
    busy,
    disconnected,
    queue,
    results,
)


def test_idle_batcher_runs_one_work_at_once() -> None:
    async def story() -> None:
        async with at_work() as (batcher, worker):
            assert results(await ask(batcher, worker, "a")) == ["A"]
            assert results(await ask(batcher, worker, "b")) == ["B"]
            assert worker.batches == [["a"], ["b"]]

    asyncio.run(story())


def test_what_waits_while_it_is_busy_is_taken_together_up_to_size() -> None:
    async def story() -> None:
        async with busy(size=3) as (batcher, worker):
            tasks = [await queue(batcher, worker, name) for name in "abcde"]
            assert batcher.waiting == 5
            worker.gate.set()
            assert [results(await task) for task in tasks] == [["A"], ["B"], ["C"], ["D"], ["E"]]
            assert worker.batches == [["first"], ["a", "b", "c"], ["d", "e"]]
            assert batcher.waiting == 0

    asyncio.run(story())


def test_single_pieces_of_work_go_before_those_of_a_request_with_many() -> None:
    async def story() -> None:
        async with busy(size=2) as (batcher, worker):
            bulk = await queue(batcher, worker, "1", "2", "3")
            single = await queue(batcher, worker, "a")
            worker.gate.set()
            await asyncio.gather(bulk, single)
            assert worker.batches == [["first"], ["a", "1"], ["2", "3"]]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        (4, ["abc1", "def2", "ghi3", "jkl4", "mn"]),
        (2, ["ab", "c1", "de", "f2", "gh", "i3", "jk", "l4", "mn"]),
        (1, ["a", "b", "c", "1", "d", "e", "f", "2", "g", "h", "i", "3", "j", "k", "l", "4"]),
    ],
)
def test_a_quarter_of_the_places_is_for_bulk_works_however_many_single_ones_wait(
    size: int, batches: list[str]
) -> None:
    async def story() -> None:
        async with busy(size=size, capacity=100) as (batcher, worker):
            bulk = await queue(batcher, worker, *"1234")
            singles = [await queue(batcher, worker, name) for name in "abcdefghijklmn"]
            worker.gate.set()
            await asyncio.gather(bulk, *singles)
            assert ["".join(batch) for batch in worker.batches[1:]][: len(batches)] == batches

    asyncio.run(story())


def test_places_that_single_ones_leave_free_are_for_bulk_works_too() -> None:
    async def story() -> None:
        async with busy(size=4, capacity=100) as (batcher, worker):
            bulk = await queue(batcher, worker, *"123456789")
            single = await queue(batcher, worker, "a")
            worker.gate.set()
            await asyncio.gather(bulk, single)
            assert ["".join(batch) for batch in worker.batches[1:]] == ["a123", "4567", "89"]

    asyncio.run(story())


def test_what_is_exempt_comes_into_a_full_queue_and_waits_as_long_as_it_takes() -> None:
    async def story() -> None:
        async with busy(capacity=2) as (batcher, worker):
            waiting = await queue(batcher, worker, "a", "b")
            more = asyncio.ensure_future(
                batcher.submit(worker, ["c", "d", "e"], [PRICE] * 3, None, STAYS, exempt=True)
            )
            await asyncio.sleep(0.05)
            assert not more.done()
            with pytest.raises(QueueFull):
                await ask(batcher, worker, "f", "g")
            worker.gate.set()
            assert results(await more) == ["C", "D", "E"]
            assert results(await waiting) == ["A", "B"]

    asyncio.run(story())


def test_answers_keep_the_order_and_an_error_spoils_only_its_own() -> None:
    async def story() -> None:
        async with at_work(size=2) as (batcher, worker):
            answers = await ask(batcher, worker, "a", "bad", "b", "bad", "c")
            assert results(answers) == ["A", FieldError, "B", FieldError, "C"]

    asyncio.run(story())


def test_answer_says_how_long_the_work_waited() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            late = await queue(batcher, worker, "late")
            await asyncio.sleep(0.05)
            worker.gate.set()
            ((_, waited),) = await late  # type: ignore[misc] # no error among them
            assert waited >= 0.05

    asyncio.run(story())


def test_full_queue_refuses_all_of_a_request_and_says_when_to_come_again() -> None:
    async def story() -> None:
        async with busy(capacity=3) as (batcher, worker):
            waiting = await queue(batcher, worker, "a", "b")
            with pytest.raises(QueueFull) as refused:
                await ask(batcher, worker, "c", "d")
            assert refused.value.retry_after >= 1
            fits = await queue(batcher, worker, "e")
            worker.gate.set()
            await asyncio.gather(waiting, fits)
            assert [work for batch in worker.batches for work in batch] == ["first", "e", "a", "b"]

    asyncio.run(story())


def test_passed_deadline_is_an_error_and_what_was_not_begun_never_is() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            with pytest.raises(DeadlinePassed, match="within 1 ms"):
                await ask(batcher, worker, "late", "later", seconds=0.001)
            worker.gate.set()
            assert results(await ask(batcher, worker, "next")) == ["NEXT"]
            assert worker.batches == [["first"], ["next"]]

    asyncio.run(story())


def test_work_of_a_disconnected_client_is_dropped() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            lost = await queue(batcher, worker, "lost", client=disconnected)
            kept = await queue(batcher, worker, "kept")
            worker.gate.set()
            assert results(await lost) == [DeadlinePassed]
            assert results(await kept) == ["KEPT"]
            assert worker.batches == [["first"], ["kept"]]

    asyncio.run(story())


@pytest.mark.parametrize(("fault", "error"), [("crash", ZeroDivisionError), ("short", ValueError)])
def test_fault_of_the_worker_reaches_the_work_that_has_it_and_no_other(
    fault: str, error: type[Exception]
) -> None:
    async def story() -> None:
        unheard: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        async with at_work() as (batcher, worker):
            assert results(await ask(batcher, worker, "a", fault, "b")) == ["A", LurcherError, "B"]
            with pytest.raises(error):
                await ask(batcher, worker, fault)
            assert results(await ask(batcher, worker, "next")) == ["NEXT"]
        assert unheard == []

    asyncio.run(story())


def test_stop_finishes_the_batch_in_hand_and_refuses_the_rest() -> None:
    async def story() -> None:
        worker = Worker()
        batcher = Batcher([worker], bounds(1), rate=0)
        worker.gate.clear()
        in_hand = asyncio.ensure_future(ask(batcher, worker, "in hand"))
        await worker.begun()
        waits = await queue(batcher, worker, "waits")
        late = await queue(batcher, worker, "late", seconds=0.01)
        with pytest.raises(DeadlinePassed):
            await late
        stopping = asyncio.ensure_future(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await ask(batcher, worker, "too late")
        worker.gate.set()
        await stopping
        assert results(await in_hand) == ["IN HAND"]
        assert results(await waits) == [NotReady]
        assert worker.batches == [["in hand"]]

    asyncio.run(story())


# Several handlers.


def test_each_handler_gets_its_own_work_of_a_batch_in_the_order_of_the_handlers() -> None:
    async def story() -> None:
        order: list[tuple[str, list[str]]] = []

        def learn(works: Sequence[str]) -> list[str | LurcherError]:
            order.append(("learn", list(works)))
            return [f"learnt {work}" for work in works]

        def search(works: Sequence[str]) -> list[str | LurcherError]:
            order.append(("search", list(works)))
            return [f"found {work}" for work in works]

        worker = Worker()
        batcher = Batcher([worker, learn, search], bounds(8), rate=0)
        worker.gate.clear()
        first = asyncio.ensure_future(ask(batcher, worker, "first"))
        await worker.begun()
        tasks = [
            await queue(batcher, handler, name)
            for handler, name in ((search, "a"), (learn, "b"), (search, "c"), (learn, "d"))
        ]
        worker.gate.set()
        found = [results(await task) for task in tasks]
        assert found == [["found a"], ["learnt b"], ["found c"], ["learnt d"]]
        assert order == [("learn", ["b", "d"]), ("search", ["a", "c"])]
        assert results(await first) == ["FIRST"]
        await batcher.stop()

    asyncio.run(story())


@pytest.mark.parametrize(("fault", "error"), [("crash", ZeroDivisionError), ("short", ValueError)])
def test_fault_of_one_handler_does_not_spoil_the_work_of_another(
    fault: str, error: type[Exception]
) -> None:
    async def story() -> None:
        def fine(works: Sequence[str]) -> list[str | LurcherError]:
            return [work * 2 for work in works]

        worker = Worker()
        batcher = Batcher([worker, fine], bounds(8), rate=0)
        worker.gate.clear()
        first = asyncio.ensure_future(ask(batcher, worker, "first"))
        await worker.begun()
        spoilt = await queue(batcher, worker, fault)
        company = await queue(batcher, worker, "company")
        beside = await queue(batcher, fine, "beside")
        worker.gate.set()
        with pytest.raises(error):
            await spoilt
        assert results(await company) == ["COMPANY"]
        assert results(await beside) == ["besidebeside"]
        assert worker.batches == [["first"], [fault, "company"], [fault], ["company"]]
        assert results(await first) == ["FIRST"]
        await batcher.stop()

    asyncio.run(story())
