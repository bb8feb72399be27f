"""The feedback service: what comes together is written together, and nothing is answered too early."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import FeedbackNotKept, FieldError, NotReady, QueueFull
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.online import Change
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.feedback.service import FeedbackService, QueueLimits
from lurcher.feedback.state import FeedbackState, Receipt

PATIENCE = 30.0


def one(key: str, query: str = "q", client: str = "c", request: str = "") -> Submission:
    return Submission(client, 1.0, key, (Pair(query, "p", 1.0),), request)


class Search:
    """Learns what it is told, while its gate is open; raises what it is to raise, once each."""

    def __init__(self) -> None:
        self.told: list[list[Change]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.failures: list[Exception] = []
        self.failed = asyncio.Event()

    async def learn(self, changes: Sequence[Change]) -> None:
        self.told.append(list(changes))
        self.begun.set()
        await self.gate.wait()
        if self.failures:
            self.failed.set()
            raise self.failures.pop(0)

    async def told_times(self, count: int) -> None:
        while len(self.told) < count:
            await asyncio.sleep(0.001)


class Disk:
    """Counts commits of the log, and fails them while it is full."""

    def __init__(self) -> None:
        self.commits = 0
        self.full = False

    def before_commit(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.commits += 1


@asynccontextmanager
async def at_work(
    path: Path, most_pairs: int = 100, disk: Disk | None = None, **limits: float
) -> AsyncIterator[tuple[FeedbackService, Search]]:
    log, _ = FeedbackLog.open(path, (disk or Disk()).before_commit)
    search = Search()
    state = FeedbackState(log, Limits(), most_pairs)
    wanted = QueueLimits(**{"together": 8, **limits})  # type: ignore[arg-type]  # whole where it must be
    service = FeedbackService(state, search.learn, wanted)
    try:
        yield service, search
    finally:
        search.gate.set()
        await asyncio.wait_for(service.stop(), PATIENCE)


def test_what_comes_while_one_is_written_shares_the_next_write(path: Path) -> None:
    async def main() -> None:
        disk = Disk()
        async with at_work(path, disk=disk) as (service, search):
            search.gate.clear()
            first = asyncio.create_task(service.submit(one("0")))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            later = [asyncio.create_task(service.submit(one(str(i), f"q{i}"))) for i in range(1, 6)]
            await asyncio.sleep(0)
            assert disk.commits == 1
            assert not first.done()  # on the disk, but searches do not know it yet
            search.gate.set()
            receipts = await asyncio.wait_for(asyncio.gather(first, *later), PATIENCE)
            assert receipts == [Receipt(1, (), 0)] * 6
            assert disk.commits == 2
            assert [len(changes) for changes in search.told] == [1, 5]

    asyncio.run(main())
    assert [s.key for s in read_log(path).submissions] == list("012345")


def test_the_same_key_twice_at_once_counts_once_and_order_holds_around_a_removal(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path) as (service, _):
            work: list[Any] = [
                service.submit(one("a")),
                service.submit(one("a")),
                service.submit(one("a", request="another")),
                service.remove(Removal(2.0, keys=("a",))),
                service.submit(one("a", request="another")),
            ]
            found = await asyncio.gather(*work, return_exceptions=True)
            assert found[0] == found[1] == found[4] == Receipt(1, (), 0)
            assert isinstance(found[2], FieldError)
            assert found[3] == 1
            assert service.status.judgements == 1
            work = [service.remove(Removal(2.0, keys=("a",))), service.submit(one("a"))]
            assert await asyncio.gather(*work) == [1, Receipt(1, (), 0)]

    asyncio.run(main())
    assert [(s.sequence, s.request) for s in read_log(path).submissions] == [(5, "")]


def test_room_is_counted_over_what_is_written_together(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, most_pairs=2) as (service, _):
            asked = [service.submit(one(str(i), f"q{i // 2}")) for i in range(6)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(f) for f in found] == [Receipt] * 4 + [FeedbackNotKept] * 2
            assert service.status.pairs == 2

    asyncio.run(main())
    assert len(read_log(path).submissions) == 4


def test_a_request_of_which_nothing_is_taken_writes_nothing(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (service, search):
            nothing = Submission("c", 1.0, "k", (), "", (0, 1))
            assert await service.submit(nothing) == Receipt(0, (0, 1), 0)
            assert search.told == []

    asyncio.run(main())
    assert read_log(path).records == ()


def test_a_log_that_cannot_be_written_changes_nothing_and_is_tried_again(path: Path) -> None:
    async def main() -> None:
        disk = Disk()
        async with at_work(path, disk=disk) as (service, search):
            disk.full = True
            with pytest.raises(FeedbackNotKept, match=r"feedback\.log.*No space left"):
                await service.submit(one("a"))
            assert (service.status.pairs, search.told) == (0, [])
            disk.full = False
            assert await service.submit(one("a")) == Receipt(1, (), 0)

    asyncio.run(main())
    assert read_log(path).sequence == 1


def test_no_more_pairs_wait_than_are_allowed_and_the_rest_is_told_when_to_come_again(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path, waiting=8) as (service, search):
            search.gate.clear()
            first = asyncio.create_task(service.submit(one("first")))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            pairs = tuple(Pair(f"q{i}", "p", 1.0) for i in range(6))
            waiting = [
                asyncio.create_task(service.submit(Submission("c", 1.0, "six", pairs))),
                asyncio.create_task(service.submit(Submission("c", 1.0, "none", (), "", (0,)))),
                asyncio.create_task(service.remove(Removal(2.0, keys=("x",)))),
            ]
            await asyncio.sleep(0)
            for refused in (service.submit(one("a")), service.remove(Removal(2.0, keys=("y",)))):
                with pytest.raises(QueueFull, match="8 ") as caught:
                    await refused
                assert caught.value.retry_after >= 1
            search.gate.set()
            await asyncio.wait_for(asyncio.gather(first, *waiting), PATIENCE)
            assert await service.submit(one("a")) == Receipt(1, (), 0)  # there is room again

    asyncio.run(main())
    assert [s.key for s in read_log(path).submissions] == ["first", "six", "a"]


def test_searches_that_learn_late_do_not_keep_from_an_answer_what_is_on_the_disk(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path, patience=0.01) as (service, search):
            search.gate.clear()
            assert await service.submit(one("a")) == Receipt(1, (), 0)
            assert await service.submit(one("b")) == Receipt(1, (), 0)
            assert await service.submit(one("c", "r")) == Receipt(1, (), 0)
            assert search.told == [[Change("q", "p", 1.0)]]
            assert [s.key for s in read_log(path).submissions] == ["a", "b", "c"]
            search.gate.set()
            await asyncio.wait_for(search.told_times(2), PATIENCE)  # though nobody asks any more
            assert search.told[1:] == [[Change("q", "p", 2.0), Change("r", "p", 1.0)]]
            assert await service.submit(one("d")) == Receipt(1, (), 0)
            assert search.told[2:] == [[Change("q", "p", 3.0)]]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_what_failed_when_nobody_waited_any_more_is_told_with_the_next(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, patience=0.01) as (service, search):
            search.gate.clear()
            search.failures = [ZeroDivisionError("a bug")]
            assert await service.submit(one("a")) == Receipt(1, (), 0)
            search.gate.set()
            await asyncio.wait_for(search.failed.wait(), PATIENCE)
            await asyncio.sleep(0)
            assert await service.submit(one("b", "r")) == Receipt(1, (), 0)
            assert search.told[1:] == [[Change("q", "p", 1.0), Change("r", "p", 1.0)]]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_server_stops_though_searches_never_learn(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, patience=0.01) as (service, search):
            search.gate.clear()
            await service.submit(one("a"))
            await asyncio.wait_for(service.stop(), PATIENCE)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_many_changes_are_told_some_at_a_time(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (service, search):
            pairs = tuple(Pair(f"q{i}", "p", 1.0) for i in range(20))
            await service.submit(Submission("c", 1.0, "k", pairs))
            assert [len(some) for some in search.told] == [8, 8, 4]

    asyncio.run(main())


def test_what_the_search_failed_to_learn_is_told_again_with_the_last_word_on_it(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path) as (service, search):
            search.failures = [ZeroDivisionError("a bug"), NotReady("stopping")]
            with pytest.raises(ZeroDivisionError):
                await service.submit(one("a"))
            with pytest.raises(NotReady):
                await service.submit(one("b"))
            assert await service.submit(one("a")) == Receipt(1, (), 0)  # the same, sent again
            assert search.told[-1] == [Change("q", "p", 2.0)]
            await service.submit(one("c", "r"))
            assert search.told[-1] == [Change("r", "p", 1.0)]
            assert service.status.judgements == 3

    asyncio.run(main())


def test_a_client_that_went_away_harms_nobody(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (service, search):
            search.gate.clear()
            gone = asyncio.create_task(service.submit(one("a")))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            gone.cancel()
            search.gate.set()
            assert await service.submit(one("b")) == Receipt(1, (), 0)

    asyncio.run(main())
    assert len(read_log(path).submissions) == 2


def test_stopping_finishes_what_waits_and_takes_no_more(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (service, _):
            waiting = [asyncio.create_task(service.submit(one(str(i)))) for i in range(20)]
            await asyncio.sleep(0)
            await service.stop()
            assert await asyncio.gather(*waiting) == [Receipt(1, (), 0)] * 20
            with pytest.raises(NotReady):
                await service.submit(one("late"))

    asyncio.run(main())
    assert read_log(path).sequence == 20


def test_each_receipt_is_counted_once_however_often_it_is_asked_for(path: Path) -> None:
    async def main() -> None:
        log, _ = FeedbackLog.open(path)
        counted: list[Receipt] = []
        service = FeedbackService(
            FeedbackState(log, Limits()), Search().learn, QueueLimits(), counted.append
        )
        nothing = Submission("c", 1.0, "k", (), "", (0, 1))
        for submission in (one("a"), one("a"), nothing):
            await service.submit(submission)
        await service.remove(Removal(2.0, keys=("a",)))
        assert counted == [Receipt(1, (), 0), Receipt(0, (0, 1), 0)]
        await service.stop()

    asyncio.run(main())


def test_its_status_is_that_of_log_and_state(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (service, _):
            await service.submit(one("a"))
            await service.submit(one("b", "another"))
            status = service.status
            assert (status.pairs, status.held_back, status.judgements) == (2, 0, 2)
            assert (status.sequence, status.most_pairs, service.counted) == (2, 100, 2)
            assert status.log == read_log(path).id
            assert status.log_bytes > 0

    asyncio.run(main())
