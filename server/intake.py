"""Feedback on its way in: on the disk first, then in the sums, then in the search, then answered.

One task takes what waits, so requests that come together share one write to the disk and one step of
the search. Another tells the search side, which may be busy: what is on the disk is answered after
``timeout_ms`` at the latest, and counts in searches as soon as they know it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.feedback import Feedback, Folded, Receipt
from lurcher.feedback.live import Change
from lurcher.feedback.log import FeedbackContent, FeedbackLog, Given, LimitsNoted, Removal
from lurcher.feedback.tally import Limits, PairKey
from lurcher.models.errors import FeedbackNotKept, FieldError, LurcherError, NotReady, QueueFull
from lurcher.models.text import normalised
from lurcher.server.metrics import Metrics
from lurcher.server.settings import Settings

_log = structlog.get_logger()

Asked = Given | Removal
Answer = Receipt | int


def replay(settings: Settings, bundle: Bundle) -> tuple[FeedbackLog, Feedback]:
    """The log that ``settings.feedback`` names, and its judgements added up beside those that ``bundle`` has.

    Notes the limits in the log where they are others than before. Raises FieldError or FeedbackCorrupt
    where the log cannot be used, FieldError too for a bundle that cannot learn.
    """
    assert settings.feedback is not None  # noqa: S101 (the caller asked)
    if bundle.manifest.encoder.similarity != "cosine":
        reason = "this bundle cannot learn: its encoder compares by the dot product, not the cosine"
        raise FieldError("feedback", reason)
    log, content = FeedbackLog.open(settings.feedback)
    try:
        neighbours = bundle.manifest.neighbours
        until = neighbours.logs.get(log.id, 0) if neighbours is not None else 0
        # Where the end of the log was lost, what comes now must not have the numbers of what was folded.
        log.sequence = max(log.sequence, until)
        limits = Limits(settings.feedback_clients, settings.feedback_client_weight)
        _note(log, content, limits)
        given = content.given
        rows = bundle.passages.rows_of(list({p.passage for one in given for p in one.pairs}))
        folded = Folded(until, dict(content.until(until).tally().weights()))
        feedback = Feedback(limits, settings.feedback_pairs, folded)
        for one in given:
            feedback.give(one, rows)
    except BaseException:
        log.close()
        raise
    unknown = sum(pair.passage not in rows for one in given for pair in one.pairs)
    _log.info(
        "feedback", file=str(log.path), pairs=feedback.pairs, counted=feedback.counted,
        of_unknown_passages=unknown, in_the_bundle=sum(one.sequence <= until for one in given),
    )  # fmt: skip
    return log, feedback


def _note(log: FeedbackLog, content: FeedbackContent, limits: Limits) -> None:
    """Let ``log`` say that it is counted by ``limits``, so that `lurcher adapt` does too."""
    if limits == content.limits:
        return
    try:
        log.append([LimitsNoted(time.time(), limits)])
    except OSError as error:
        reason = f"{log.path} cannot be written: {error.strerror or error}"
        raise FieldError("feedback", reason) from error


@dataclass(slots=True, eq=False)
class _Job:
    record: Asked
    rows: Mapping[str, int]
    done: asyncio.Future[Answer]

    @property
    def size(self) -> int:
        """How many pairs it has; a removal, or a request without any, is as much work as one."""
        return max(1, len(self.record.pairs)) if isinstance(self.record, Given) else 1


class Intake:
    """What the feedback routes talk to; make it where an event loop runs."""

    def __init__(
        self,
        log: FeedbackLog,
        feedback: Feedback,
        learn: Callable[[Sequence[Change]], Awaitable[None]],
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        """Tell ``learn`` what changed.

        At most ``settings.max_waiting`` pairs wait, about ``max_queries`` are written at once, and
        nobody waits longer than ``timeout_ms`` for searches to know what is on the disk.
        """
        self.log = log
        self.feedback = feedback
        self._learn = learn
        self._counted = metrics.feedback_pairs
        self._most = settings.max_queries
        self._capacity = settings.max_waiting
        self._patience = settings.timeout_ms / 1_000
        self._stopped = False
        self._waiting: deque[_Job] = deque()
        self._waiting_pairs = 0
        self._seconds_a_pair = 0.01
        self._arrived = asyncio.Event()
        # What the search side still has to be told, by query and row; the last word on each.
        self._behind: dict[tuple[str, int], Change] = {}
        self._telling: asyncio.Task[Exception | None] | None = None
        metrics.live_pairs.set_function(lambda: feedback.counted)
        self._loop = asyncio.create_task(self._work())

    async def give(self, given: Given, rows: Mapping[str, int]) -> Receipt:
        """The receipt of ``given``, once it is on the disk and counts in searches, or soon will.

        ``rows`` has the rows of its passages. Raises FieldError for a key used before, FeedbackNotKept,
        QueueFull, or NotReady where the server stops.
        """
        return cast(Receipt, await self._submit(given, rows))

    async def remove(self, removal: Removal) -> int:
        """How many live judgements ``removal`` took back, once that is on the disk and searches know.

        Raises FeedbackNotKept, QueueFull or NotReady.
        """
        return cast(int, await self._submit(removal, {}))

    async def _submit(self, record: Asked, rows: Mapping[str, int]) -> Answer:
        if self._stopped:
            raise NotReady("the server is stopping")
        job = _Job(record, rows, asyncio.get_running_loop().create_future())
        if self._waiting_pairs + job.size > self._capacity:
            retry_after = max(1, round(self._waiting_pairs * self._seconds_a_pair))
            raise QueueFull(self._waiting_pairs, retry_after)
        self._waiting.append(job)
        self._waiting_pairs += job.size
        self._arrived.set()
        return await job.done

    async def stop(self) -> None:
        """Finish what waits, take no more, close the log."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        if self._telling is not None:
            self._telling.cancel()  # a server that stops need not learn
            await asyncio.wait([self._telling])
        self.log.close()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            group, start = self._take(), time.perf_counter()
            if group:
                try:
                    await self._settle(group)
                # Whatever went wrong is the answer to those who asked, not the end of the server.
                except Exception as error:
                    _answer([(job, error) for job in group])
                seconds = (time.perf_counter() - start) / sum(job.size for job in group)
                self._seconds_a_pair += 0.1 * (seconds - self._seconds_a_pair)
            elif self._stopped:
                return
            else:
                self._arrived.clear()

    def _take(self) -> list[_Job]:
        """What is done together: one request a key, and nothing after a removal, so that order holds."""
        group: list[_Job] = []
        keys: set[tuple[str, str]] = set()
        pairs = 0
        while self._waiting and pairs < self._most:
            record = self._waiting[0].record
            if isinstance(record, Given):
                if (record.client, record.key) in keys:
                    break
                keys.add((record.client, record.key))
            group.append(self._waiting.popleft())
            pairs += group[-1].size
            if isinstance(record, Removal):
                break
        self._waiting_pairs -= pairs
        return group

    async def _settle(self, group: Sequence[_Job]) -> None:
        answers, fresh = self._sort(group)
        if fresh:
            try:
                written = await asyncio.to_thread(self.log.append, [job.record for job in fresh])
            except OSError as error:
                reason = f"{self.log.path} cannot be written: {error.strerror or error}"
                answers += [(job, FeedbackNotKept(reason)) for job in fresh]
            else:
                answers += [
                    (job, self._apply(record, job.rows))
                    for job, record in zip(fresh, written, strict=True)
                ]
        await self._catch_up()
        _answer(answers)

    def _sort(
        self, group: Sequence[_Job]
    ) -> tuple[list[tuple[_Job, Answer | Exception]], list[_Job]]:
        """Those that can be answered without the log, with their answers; and those that cannot."""
        answers: list[tuple[_Job, Answer | Exception]] = []
        fresh: list[_Job] = []
        new: set[PairKey] = set()
        judgements = 0
        for job in group:
            if isinstance(job.record, Removal):
                fresh.append(job)
                continue
            given = job.record
            try:
                known = self.feedback.receipt(given)
                if known is not None:
                    answers.append((job, known))
                elif not given.pairs:
                    answers.append((job, Receipt(0, given.refused, 0)))
                    self._counted.labels("refused").inc(len(given.refused))
                else:
                    more = new | self.feedback.new_pairs(given.pairs)
                    self.feedback.check_room(more, judgements + len(given.pairs))
                    new, judgements = more, judgements + len(given.pairs)
                    fresh.append(job)
            except LurcherError as error:
                answers.append((job, error))
        return answers, fresh

    def _apply(self, record: Asked, rows: Mapping[str, int]) -> Answer:
        answer: Answer
        if isinstance(record, Removal):
            answer, changes = self.feedback.remove(record)
        else:
            answer, changes = self.feedback.give(record, rows)
            self._counted.labels("accepted").inc(answer.accepted)
            self._counted.labels("refused").inc(len(answer.refused))
        self._behind.update({(normalised(c.query), c.row): c for c in changes})
        return answer

    async def _catch_up(self) -> None:
        """Wait until the search side knows all, but no longer than those who gave feedback would.

        Raises what kept it from learning; it is told again with the next.
        """
        if self._behind and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell())
        if self._telling is None:
            return
        await asyncio.wait([self._telling], timeout=self._patience)
        if not self._telling.done():
            _log.warning("searches learn feedback late", waiting=len(self._behind))
            return
        if (error := self._telling.result()) is not None:
            raise error

    async def _tell(self) -> Exception | None:
        """Tell the search side all that it does not know; what came of it, as nobody may wait for it."""
        while self._behind:
            some = list(islice(self._behind.items(), self._most))
            try:
                await self._learn([change for _, change in some])
            except Exception as error:
                return error
            for pair, change in some:
                if self._behind[pair] is change:  # or else there is a later word on it
                    del self._behind[pair]
        return None


def _answer(answers: Sequence[tuple[_Job, Answer | Exception]]) -> None:
    for job, answer in answers:
        if job.done.done():  # its client has gone
            continue
        if isinstance(answer, Exception):
            job.done.set_exception(answer)
        else:
            job.done.set_result(answer)
