"""The queue before the pipeline: who goes with whom, who goes first, and who does not go at all."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from lurcher.models.errors import DeadlinePassed, FieldError, LurcherError, NotReady, QueueFull
from lurcher.server.batching import Batcher

PATIENCE = 30.0

Answer = tuple[str, float] | LurcherError


async def here() -> bool:
    return False


async def gone() -> bool:
    return True


class Worker:
    """Answers each work with its upper case; stands before its gate while that is shut."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self, works: Sequence[str]) -> Sequence[str | LurcherError]:
        self.batches.append(list(works))
        self._loop.call_soon_threadsafe(self._begun.put_nowait, None)
        assert self.gate.wait(PATIENCE)
        if "crash" in works:
            raise ZeroDivisionError("a bug in the pipeline")
        if "short" in works:
            return []
        return [FieldError("query", "bad") if w == "bad" else w.upper() for w in works]

    async def begun(self) -> None:
        await asyncio.wait_for(self._begun.get(), PATIENCE)


@asynccontextmanager
async def at_work(
    size: int = 4, capacity: int = 8
) -> AsyncIterator[tuple[Batcher[str, str], Worker]]:
    """A batcher that asks for every client, and its idle worker."""
    worker = Worker()
    batcher = Batcher[str, str](worker, size, capacity, ask_after=0)
    try:
        yield batcher, worker
    finally:
        worker.gate.set()
        await batcher.stop()


@asynccontextmanager
async def busy(size: int = 4, capacity: int = 8) -> AsyncIterator[tuple[Batcher[str, str], Worker]]:
    """A batcher whose worker stands before its gate with the work ``first``."""
    async with at_work(size, capacity) as (batcher, worker):
        worker.gate.clear()
        first = asyncio.create_task(ask(batcher, "first"))
        await worker.begun()
        yield batcher, worker
        worker.gate.set()
        await asyncio.gather(first, return_exceptions=True)


def ask(
    batcher: Batcher[str, str],
    *works: str,
    seconds: float = PATIENCE,
    client: Callable[[], Awaitable[bool]] = here,
) -> Awaitable[list[Answer]]:
    return batcher.submit(works, seconds, client)


async def queue(
    batcher: Batcher[str, str], *works: str, **options: object
) -> asyncio.Task[list[Answer]]:
    """A task that asks for ``works``, which wait by now."""
    before = batcher.waiting
    task = asyncio.ensure_future(ask(batcher, *works, **options))  # type: ignore[arg-type] # passed on
    while batcher.waiting == before and not task.done():
        await asyncio.sleep(0)
    return task


def results(answers: Sequence[Answer]) -> list[str | type[LurcherError]]:
    return [type(a) if isinstance(a, LurcherError) else a[0] for a in answers]


def test_idle_batcher_runs_one_work_at_once() -> None:
    async def story() -> None:
        async with at_work() as (batcher, worker):
            assert results(await ask(batcher, "a")) == ["A"]
            assert results(await ask(batcher, "b")) == ["B"]
            assert worker.batches == [["a"], ["b"]]

    asyncio.run(story())


def test_what_waits_while_it_is_busy_is_taken_together_up_to_size() -> None:
    async def story() -> None:
        async with busy(size=3) as (batcher, worker):
            tasks = [await queue(batcher, name) for name in "abcde"]
            assert batcher.waiting == 5
            worker.gate.set()
            assert [results(await task) for task in tasks] == [["A"], ["B"], ["C"], ["D"], ["E"]]
            assert worker.batches == [["first"], ["a", "b", "c"], ["d", "e"]]
            assert batcher.waiting == 0

    asyncio.run(story())


def test_single_searches_go_before_those_of_a_batch_request() -> None:
    async def story() -> None:
        async with busy(size=2) as (batcher, worker):
            bulk = await queue(batcher, "1", "2", "3")
            single = await queue(batcher, "a")
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
            bulk = await queue(batcher, *"1234")
            singles = [await queue(batcher, name) for name in "abcdefghijklmn"]
            worker.gate.set()
            await asyncio.gather(bulk, *singles)
            assert ["".join(batch) for batch in worker.batches[1:]][: len(batches)] == batches

    asyncio.run(story())


def test_places_that_single_ones_leave_free_are_for_bulk_works_too() -> None:
    async def story() -> None:
        async with busy(size=4, capacity=100) as (batcher, worker):
            bulk = await queue(batcher, *"123456789")
            single = await queue(batcher, "a")
            worker.gate.set()
            await asyncio.gather(bulk, single)
            assert ["".join(batch) for batch in worker.batches[1:]] == ["a123", "4567", "89"]

    asyncio.run(story())


def test_what_may_come_in_however_full_the_queue_is_does_and_waits_as_long_as_it_takes() -> None:
    async def story() -> None:
        async with busy(capacity=2) as (batcher, worker):
            waiting = await queue(batcher, "a", "b")
            more = asyncio.ensure_future(
                batcher.submit(["c", "d", "e"], math.inf, here, however_full=True)
            )
            await asyncio.sleep(0.05)
            assert not more.done()
            with pytest.raises(QueueFull):
                await ask(batcher, "f")
            worker.gate.set()
            assert results(await more) == ["C", "D", "E"]
            assert results(await waiting) == ["A", "B"]

    asyncio.run(story())


def test_answers_keep_the_order_and_an_error_spoils_only_its_own() -> None:
    async def story() -> None:
        async with at_work(size=2) as (batcher, _):
            answers = await ask(batcher, "a", "bad", "b", "bad", "c")
            assert results(answers) == ["A", FieldError, "B", FieldError, "C"]

    asyncio.run(story())


def test_answer_says_how_long_the_work_waited() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            late = await queue(batcher, "late")
            await asyncio.sleep(0.05)
            worker.gate.set()
            ((_, waited),) = await late  # type: ignore[misc] # no error among them
            assert waited >= 0.05

    asyncio.run(story())


def test_full_queue_refuses_all_of_a_request_and_says_when_to_come_again() -> None:
    async def story() -> None:
        async with busy(capacity=3) as (batcher, worker):
            waiting = await queue(batcher, "a", "b")
            with pytest.raises(QueueFull) as refused:
                await ask(batcher, "c", "d")
            assert refused.value.retry_after >= 1
            fits = await queue(batcher, "e")
            worker.gate.set()
            await asyncio.gather(waiting, fits)
            assert [work for batch in worker.batches for work in batch] == ["first", "e", "a", "b"]

    asyncio.run(story())


def test_passed_deadline_is_an_error_and_what_was_not_begun_never_is() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            with pytest.raises(DeadlinePassed, match="within 1 ms"):
                await ask(batcher, "late", "later", seconds=0.001)
            worker.gate.set()
            assert results(await ask(batcher, "next")) == ["NEXT"]
            assert worker.batches == [["first"], ["next"]]

    asyncio.run(story())


def test_work_whose_client_has_gone_is_dropped() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            lost = await queue(batcher, "lost", client=gone)
            kept = await queue(batcher, "kept")
            worker.gate.set()
            assert results(await lost) == [DeadlinePassed]
            assert results(await kept) == ["KEPT"]
            assert worker.batches == [["first"], ["kept"]]

    asyncio.run(story())


def test_deadline_that_passes_while_the_client_is_asked_for_does_no_harm() -> None:
    async def story() -> None:
        async with busy() as (batcher, worker):
            asked, answer = asyncio.Event(), asyncio.Event()

            async def slow_to_say() -> bool:
                asked.set()
                await answer.wait()
                return True

            late = await queue(batcher, "late", seconds=0.3, client=slow_to_say)
            worker.gate.set()
            await asked.wait()
            with pytest.raises(DeadlinePassed):
                await late
            answer.set()
            assert results(await ask(batcher, "next")) == ["NEXT"]

    asyncio.run(story())


@pytest.mark.parametrize(("fault", "error"), [("crash", ZeroDivisionError), ("short", ValueError)])
def test_fault_of_the_worker_reaches_those_who_asked_and_no_one_else(
    fault: str, error: type[Exception]
) -> None:
    async def story() -> None:
        unheard: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        async with at_work() as (batcher, _):
            with pytest.raises(error):
                await ask(batcher, "a", fault, "b")
            assert results(await ask(batcher, "next")) == ["NEXT"]
        assert unheard == []

    asyncio.run(story())


def test_stop_finishes_the_batch_in_hand_and_refuses_the_rest() -> None:
    async def story() -> None:
        worker = Worker()
        batcher = Batcher[str, str](worker, 1, 8)
        worker.gate.clear()
        in_hand = asyncio.ensure_future(ask(batcher, "in hand"))
        await worker.begun()
        waits = await queue(batcher, "waits")
        late = await queue(batcher, "late", seconds=0.001)
        with pytest.raises(DeadlinePassed):
            await late
        stopping = asyncio.ensure_future(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(NotReady):
            await ask(batcher, "too late")
        worker.gate.set()
        await stopping
        assert results(await in_hand) == ["IN HAND"]
        assert results(await waits) == [NotReady]
        assert worker.batches == [["in hand"]]

    asyncio.run(story())
