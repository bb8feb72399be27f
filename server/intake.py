"""Feedback on its way in: on the disk first, then in the sums, then in the search, then answered.

One task takes what waits, so requests that come together share one write to the disk and one step of
the search.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog

from bundle.bundle import Bundle
from bundle.feedback import FeedbackLog, Given, Record, Removal
from models.errors import FeedbackNotKept, LurcherError, NotReady, QueueFull
from models.text import normalised
from server.feedback import Feedback, PairKey, Receipt
from server.live import Change
from server.metrics import Metrics
from server.settings import Settings

_log = structlog.get_logger()

# Until a search queue that was full is tried again; those who gave feedback wait meanwhile.
_AGAIN_SECONDS = 0.05

Answer = Receipt | int


def replay(settings: Settings, bundle: Bundle) -> tuple[FeedbackLog, Feedback]:
    """The log that ``settings.feedback`` names, and its judgements added up, as far as ``bundle`` lacks them.

    Raises FieldError or FeedbackCorrupt where the log cannot be used.
    """
    assert settings.feedback is not None  # noqa: S101 (the caller asked)
    log, content = FeedbackLog.open(settings.feedback)
    try:
        neighbours = bundle.manifest.neighbours
        folded = neighbours.logs.get(log.id, 0) if neighbours is not None else 0
        given = [one for one in content.given if one.sequence > folded]
        rows = bundle.passages.rows_of(list({p.passage for one in given for p in one.pairs}))
        feedback = Feedback(
            settings.feedback_clients, settings.feedback_client_weight, settings.feedback_pairs
        )
        for one in given:
            feedback.give(one, rows)
    except BaseException:
        log.close()
        raise
    unknown = sum(pair.passage not in rows for one in given for pair in one.pairs)
    _log.info(
        "feedback", file=str(log.path), pairs=feedback.pairs, counted=feedback.counted,
        of_unknown_passages=unknown, in_the_bundle=len(content.given) - len(given),
    )  # fmt: skip
    return log, feedback


@dataclass(slots=True, eq=False)
class _Job:
    record: Record
    rows: Mapping[str, int]
    done: asyncio.Future[Answer]


class Intake:
    """What the feedback routes talk to; make it where an event loop runs."""

    def __init__(
        self,
        log: FeedbackLog,
        feedback: Feedback,
        learn: Callable[[Sequence[Change]], Awaitable[None]],
        metrics: Metrics,
        most: int,
    ) -> None:
        """Tell ``learn`` what changed; write about ``most`` pairs at once."""
        self.log = log
        self.feedback = feedback
        self._learn = learn
        self._counted = metrics.feedback_pairs
        self._most = most
        self._stopped = False
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        # What the search side still has to be told, by query and row; the last word on each.
        self._behind: dict[tuple[str, int], Change] = {}
        metrics.live_pairs.set_function(lambda: feedback.counted)
        self._loop = asyncio.create_task(self._work())

    async def give(self, given: Given, rows: Mapping[str, int]) -> Receipt:
        """The receipt of ``given``, once it is on the disk and counts in searches.

        ``rows`` has the rows of its passages. Raises FieldError for a key used before, FeedbackNotKept,
        or NotReady where the server stops.
        """
        return cast(Receipt, await self._submit(given, rows))

    async def remove(self, removal: Removal) -> int:
        """How many live judgements ``removal`` took back, once that is on the disk and searches know.

        Raises FeedbackNotKept or NotReady.
        """
        return cast(int, await self._submit(removal, {}))

    async def _submit(self, record: Record, rows: Mapping[str, int]) -> Answer:
        if self._stopped:
            raise NotReady("the server is stopping")
        job = _Job(record, rows, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.done

    async def stop(self) -> None:
        """Finish what waits, take no more, close the log."""
        self._stopped = True
        self._arrived.set()
        await self._loop
        self.log.close()

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            group = self._take()
            if group:
                try:
                    await self._settle(group)
                # Whatever went wrong is the answer to those who asked, not the end of the server.
                except Exception as error:
                    _answer([(job, error) for job in group])
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
            if isinstance(record, Removal):
                group.append(self._waiting.popleft())
                break
            if (record.client, record.key) in keys:
                break
            keys.add((record.client, record.key))
            pairs += len(record.pairs)
            group.append(self._waiting.popleft())
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

    def _apply(self, record: Record, rows: Mapping[str, int]) -> Answer:
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
        """Tell the search side all that it does not know; what fails is told again with the next."""
        while self._behind:
            try:
                await self._learn(list(self._behind.values()))
            except QueueFull:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._behind.clear()


def _answer(answers: Sequence[tuple[_Job, Answer | Exception]]) -> None:
    for job, answer in answers:
        if job.done.done():  # its client has gone
            continue
        if isinstance(answer, Exception):
            job.done.set_exception(answer)
        else:
            job.done.set_result(answer)
