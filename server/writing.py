"""Writes while a server runs: one queue, one thread that writes, one that compacts, both below searches.

Requests that wait together are committed together, so they share one write to the disk and one new snapshot.
Both threads have a lower priority than those that answer, and go at a pace that leaves searches their time.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.errors import BundleError, NotReady, QueueFull
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Request, Upsert
from lurcher.index_builder.edit.stored_parts import Compaction, CompactionStopped
from lurcher.index_builder.edit.writer import Writer
from lurcher.server.visible import Visible
from lurcher.server.write_metrics import WriteMetrics, WriteState
from lurcher.server.write_pace import WritePace
from lurcher.threads import lower_priority

_log = structlog.get_logger()

_Done = TypeVar("_Done")

# So many seconds a thread that writes may hold up the one that searches, each time that this needs Python.
_SWITCH = 0.0005
_STOPPING = "the server is stopping"
# After a flush or a compaction has failed, it is tried again so many seconds later.
_TRY_AGAIN = 60.0


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    visible: bool  # answer when searches know it; else when it is on the disk
    done: asyncio.Future[Receipt]

    @property
    def size(self) -> int:
        """How many records it has."""
        match self.request:
            case Upsert():
                return len(self.request.documents)
            case Delete():
                return max(1, len(self.request.ids))
            case Patch():
                return len(self.request.metadata)


class Writes(Protocol):
    """What takes the writes of a collection."""

    async def submit(self, request: Request, visible: bool) -> Receipt:
        """The receipt of ``request``, once it is on the disk and, if ``visible``, searches know it.

        Raises what is wrong with it, or why it cannot be written.
        """


class WriteQueue:
    """What takes writes while a server runs; make it where an event loop runs."""

    def __init__(
        self, writer: Writer, publish: Callable[[Bundle], Awaitable[None]] | None, capacity: int,
        together: int, metrics: WriteMetrics, busy: Callable[[], bool], share: float,
        forget: Callable[[Collection[str]], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """Write by ``writer`` and let ``publish`` make searches use each new state; None: nobody searches.

        At most ``capacity`` records wait, and about ``together`` are committed at once. While ``busy`` says
        that requests are being answered, writing takes ``share`` of the time, and so does compacting.
        ``forget`` is told passages of which what was judged counts no more.
        """
        self._writer, self._publish, self._forget = writer, publish, forget
        self._metrics = metrics
        writer.go_slowly(WritePace(busy, share).pause, WritePace(busy, share).pause)
        sys.setswitchinterval(_SWITCH)
        self._capacity, self._together = capacity, together
        self.visible = Visible(writer.sequence)
        self._waiting: deque[_Job] = deque()
        self._records = 0
        self._seconds_a_record = 0.02
        self._stopped = False
        self._arrived = asyncio.Event()
        self._writing = ThreadPoolExecutor(1, "writer", lower_priority)
        self._copying = ThreadPoolExecutor(1, "compactor", lower_priority)
        self._compaction: Compaction | None = None
        self._compacting: asyncio.Task[None] | None = None
        self._not_before = 0.0  # that a flush or a compaction is tried again
        self._loop = asyncio.create_task(self._work())
        self._note()

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return self._records

    async def submit(self, request: Request, visible: bool) -> Receipt:
        """The receipt of ``request``, once it is on the disk and, if ``visible``, searches know it.

        Raises QueueFull, NotReady where the server stops, or what the writer raised.
        """
        try:
            return await self._queued(request, visible)
        except Exception as error:
            self._metrics.reject(error)
            raise

    async def check(self, request: Request) -> Receipt:
        """What ``request`` would do now; nothing is done. Raises NotReady or what the writer raised."""
        if self._stopped:
            raise NotReady(_STOPPING)
        return await self._in_thread(lambda: self._writer.check(request))

    async def _queued(self, request: Request, visible: bool) -> Receipt:
        if self._stopped:
            raise NotReady(_STOPPING)
        job = _Job(request, visible, asyncio.get_running_loop().create_future())
        if self._records and self._records + job.size > self._capacity:
            raise QueueFull(self._records, max(1, round(self._records * self._seconds_a_record)))
        self._waiting.append(job)
        self._count(job.size)
        self._arrived.set()
        return await job.done

    def _count(self, more: int) -> None:
        """Count so many records that wait, or with a number below 0 that do so no more."""
        self._records += more
        self._metrics.waiting.inc(more)

    def _note(self) -> None:
        """Let the metrics say what the bundle is like now."""
        rows = self._writer.bundle.rows
        state = WriteState(
            self.visible.sequence, self._writer.log_bytes, len(rows.starts) - 1, rows.count,
            rows.count - rows.passages,
        )  # fmt: skip
        self._metrics.note(self, state)

    async def stop(self) -> None:
        """Finish what waits, take no more, write all to the disk and close the writer."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        if self._compacting is not None and self._compaction is not None:
            self._compaction.stop()
            await asyncio.wait([self._compacting])
        try:
            await self._in_thread(self._writer.close)
        except BundleError as error:
            _log.error("writes stay in the log", reason=str(error))
        self._metrics.note(self, None)
        await asyncio.to_thread(self._writing.shutdown)
        await asyncio.to_thread(self._copying.shutdown)

    async def _in_thread(self, call: Callable[[], _Done]) -> _Done:
        return await asyncio.get_running_loop().run_in_executor(self._writing, call)

    async def _work(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_idle()):
                    await self._arrived.wait()
            group = self._take()
            if group:
                await self._commit(group)
            elif self._stopped:
                return
            else:
                self._arrived.clear()
            await self._maintain()

    def _seconds_idle(self) -> float | None:
        """How long there is nothing to do if nothing arrives; None: until something does."""
        due = self._writer.seconds_to_flush
        return None if due is None else max(due, self._not_before - monotonic())

    def _take(self) -> list[_Job]:
        group: list[_Job] = []
        records = 0
        while self._waiting and records < self._together:
            group.append(self._waiting.popleft())
            records += group[-1].size
        self._count(-records)
        return group

    async def _commit(self, group: list[_Job]) -> None:
        loop, start = asyncio.get_running_loop(), monotonic()

        def durable(receipts: Mapping[int, Receipt]) -> None:
            early = [(group[i], one) for i, one in receipts.items() if not group[i].visible]
            for job, one in early:
                loop.call_soon_threadsafe(_answer, job, one)

        requests = [job.request for job in group]
        try:
            with self._metrics.step("commit"):
                outcomes = await self._in_thread(lambda: self._writer.commit(requests, durable))
            await self._forget_judgements()
            await self._show()
        # Whatever went wrong is the answer to those who asked, not the end of the server.
        except Exception as error:
            _log.error("writes failed", exc_info=error)
            for job in group:
                _answer(job, error)
            return
        for job, outcome in zip(group, outcomes, strict=True):
            _answer(job, outcome)
        seconds = (monotonic() - start) / sum(job.size for job in group)
        self._seconds_a_record += 0.1 * (seconds - self._seconds_a_record)

    async def _forget_judgements(self) -> None:
        passages = self._writer.take_forgotten()
        if self._forget is not None and passages:
            with suppress(NotReady):  # a server that stops: the next one counts by the bundle
                await self._forget(passages)

    async def _show(self) -> None:
        """Make searches use the writer's bundle, if it is another than they have."""
        sequence = self._writer.sequence
        if sequence == self.visible.sequence:
            return
        await self._publish_now()
        self.visible.show(sequence)
        self._note()

    async def _publish_now(self) -> None:
        """Make searches use the writer's bundle."""
        if self._publish is None:
            return
        with self._metrics.step("show"):
            await self._publish(await self._in_thread(self._writer.reader))

    async def _maintain(self) -> None:
        """Flush and compact where that is due."""
        if monotonic() < self._not_before:
            return
        try:
            if self._writer.flush_is_due:
                with self._metrics.step("flush"):
                    await self._in_thread(self._writer.flush)
                await self._publish_now()
                self._note()
            if self._compacting is None or self._compacting.done():
                self._compaction = await self._in_thread(self._writer.begin_compaction)
                if self._compaction is not None:
                    self._compacting = asyncio.create_task(self._compact(self._compaction))
        # Whatever it is: writes are safe in the log and in memory, and go on.
        except Exception as error:
            self._try_later(error)

    async def _compact(self, work: Compaction) -> None:
        try:
            with self._metrics.step("compact"):
                await self._compacted(work)
            await self._publish_now()
            self._note()
        except CompactionStopped:
            return
        except Exception as error:
            self._try_later(error)
        self._arrived.set()  # there may be more to compact

    async def _compacted(self, work: Compaction) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._copying, work.write)
        except BaseException:
            await self._in_thread(work.close)
            raise
        await self._in_thread(lambda: self._writer.finish_compaction(work))

    def _try_later(self, error: Exception) -> None:
        _log.error("the bundle cannot be flushed or compacted; writes go on", exc_info=error)
        self._not_before = monotonic() + _TRY_AGAIN


def _answer(job: _Job, outcome: Receipt | Exception) -> None:
    if job.done.done():  # answered when it was on the disk, or its client disconnected
        return
    if isinstance(outcome, Exception):
        job.done.set_exception(outcome)
    else:
        job.done.set_result(outcome)
