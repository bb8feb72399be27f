"""A batcher with a worker that a test can hold up, and ways to ask it for work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

from lurcher.errors import FieldError, LurcherError
from lurcher.server.admission import Caller, IsDisconnected, stays
from lurcher.server.admission.batching import Batcher, Bounds, Handler

PATIENCE = 30.0

Answer = tuple[str, float] | LurcherError


def disconnected() -> bool:
    return True


STAYS = Caller("somebody", stays)
# What each piece of work costs, in seconds.
PRICE = 1e-3
CALM = 0.3


def bounds(size: int = 4, capacity: int = 8, wait: float = PATIENCE) -> Bounds:
    """Slices of ``size`` pieces of work, of which ``capacity`` may wait."""
    return Bounds(capacity, wait, together=1_000, slice=size * PRICE, calm=CALM)


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
            raise ZeroDivisionError("a bug in the core")
        if "short" in works:
            return []
        return [FieldError("query", "bad") if w == "bad" else w.upper() for w in works]

    async def begun(self) -> None:
        await asyncio.wait_for(self._begun.get(), PATIENCE)


@asynccontextmanager
async def at_work(
    size: int = 4, capacity: int = 8, wait: float = PATIENCE
) -> AsyncIterator[tuple[Batcher, Worker]]:
    """A batcher and its idle worker."""
    worker = Worker()
    batcher = Batcher([worker], bounds(size, capacity, wait), rate=0)
    try:
        yield batcher, worker
    finally:
        worker.gate.set()
        await batcher.stop()


@asynccontextmanager
async def busy(
    size: int = 4, capacity: int = 8, wait: float = PATIENCE
) -> AsyncIterator[tuple[Batcher, Worker]]:
    """A batcher whose worker stands before its gate with the work ``first``."""
    async with at_work(size, capacity, wait) as (batcher, worker):
        worker.gate.clear()
        first = asyncio.create_task(ask(batcher, worker, "first"))
        await worker.begun()
        yield batcher, worker
        worker.gate.set()
        await asyncio.gather(first, return_exceptions=True)


def ask(
    batcher: Batcher,
    worker: Handler[str, str],
    *works: str,
    seconds: float = PATIENCE,
    client: IsDisconnected = stays,
    name: str = "somebody",
    price: float = PRICE,
) -> Awaitable[list[Answer]]:
    return batcher.submit(worker, works, [price] * len(works), seconds, Caller(name, client))


async def queue(
    batcher: Batcher, worker: Handler[str, str], *works: str, **options: object
) -> asyncio.Task[list[Answer]]:
    """A task that asks for ``works``, which wait by now."""
    before = batcher.waiting
    task = asyncio.ensure_future(ask(batcher, worker, *works, **options))  # type: ignore[arg-type] # passed on
    while batcher.waiting == before and not task.done():
        await asyncio.sleep(0)
    return task


def results(answers: Sequence[Answer]) -> list[str | type[LurcherError]]:
    return [type(a) if isinstance(a, LurcherError) else a[0] for a in answers]
