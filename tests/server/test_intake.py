"""The way in: what comes together is written together, and nothing is answered too early."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.feedback import Feedback, Receipt
from lurcher.feedback.log import FeedbackLog, Given, Pair, Record, Removal, read_feedback
from lurcher.feedback.online import Change
from lurcher.feedback.tally import Limits
from lurcher.models.errors import FeedbackNotKept, FieldError, NotReady, QueueFull
from lurcher.server.intake import Intake, replay
from lurcher.server.metrics import Metrics
from lurcher.server.settings import load_settings

PATIENCE = 30.0
ROWS = {"p": 0, "other": 1}


def one(key: str, query: str = "q", client: str = "c", request: str = "") -> Given:
    return Given(client, 1.0, key, (Pair(query, "p", 1.0),), request)


class Search:
    """Learns what it is told, while its gate is open; raises what it is to raise, once each."""

    def __init__(self) -> None:
        self.told: list[list[Change]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.failures: list[Exception] = []

    async def learn(self, changes: Sequence[Change]) -> None:
        self.told.append(list(changes))
        self.begun.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def at_work(
    path: Path, most_pairs: int = 100, **limits: int
) -> AsyncIterator[tuple[Intake, Search]]:
    log, _ = FeedbackLog.open(path)
    search = Search()
    settings = load_settings(None, {"bundle": "b", "max_queries": 8, **limits})
    feedback = Feedback(Limits(), most_pairs=most_pairs)
    intake = Intake(log, feedback, search.learn, Metrics(), settings)
    try:
        yield intake, search
    finally:
        search.gate.set()
        await asyncio.wait_for(intake.stop(), PATIENCE)


def lines(path: Path) -> int:
    """How many appends a log has seen."""
    return path.read_bytes().count(b"\n") - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.log"


def test_what_comes_while_one_is_written_shares_the_next_write(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):
            search.gate.clear()
            first = asyncio.create_task(intake.give(one("0"), ROWS))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            later = [
                asyncio.create_task(intake.give(one(str(i), f"q{i}"), ROWS)) for i in range(1, 6)
            ]
            await asyncio.sleep(0)
            assert lines(path) == 1
            assert not first.done()  # on the disk, but searches do not know it yet
            search.gate.set()
            receipts = await asyncio.wait_for(asyncio.gather(first, *later), PATIENCE)
            assert receipts == [Receipt(1, (), 0)] * 6
            assert lines(path) == 2
            assert [len(changes) for changes in search.told] == [1, 5]

    asyncio.run(main())
    assert [g.key for g in read_feedback(path).given] == list("012345")


def test_the_same_key_twice_at_once_counts_once_and_order_holds_around_a_removal(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, _):
            work: list[Any] = [
                intake.give(one("a"), ROWS),
                intake.give(one("a"), ROWS),
                intake.give(one("a", request="another"), ROWS),
                intake.remove(Removal(2.0, keys=("a",))),
                intake.give(one("a", request="another"), ROWS),
            ]
            found = await asyncio.gather(*work, return_exceptions=True)
            assert found[0] == found[1] == found[4] == Receipt(1, (), 0)
            assert isinstance(found[2], FieldError)
            assert found[3] == 1
            assert intake.feedback.judgements == 1
            work = [intake.remove(Removal(2.0, keys=("a",))), intake.give(one("a"), ROWS)]
            assert await asyncio.gather(*work) == [1, Receipt(1, (), 0)]

    asyncio.run(main())
    assert [(g.sequence, g.request) for g in read_feedback(path).given] == [(5, "")]


def test_room_is_counted_over_what_is_written_together(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, most_pairs=2) as (intake, _):
            asked = [intake.give(one(str(i), f"q{i // 2}"), ROWS) for i in range(6)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(f) for f in found] == [Receipt] * 4 + [FeedbackNotKept] * 2
            assert intake.feedback.pairs == 2

    asyncio.run(main())
    assert len(read_feedback(path).given) == 4


def test_a_request_of_which_nothing_is_taken_writes_nothing(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):
            nothing = Given("c", 1.0, "k", (), "", (0, 1))
            assert await intake.give(nothing, {}) == Receipt(0, (0, 1), 0)
            assert search.told == []

    asyncio.run(main())
    assert lines(path) == 0


def test_a_log_that_cannot_be_written_changes_nothing_and_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):

            def full(_: object, __: Sequence[Record]) -> list[Record]:
                raise OSError(errno.ENOSPC, "No space left on device")

            with monkeypatch.context() as broken:
                broken.setattr(FeedbackLog, "append", full)
                with pytest.raises(FeedbackNotKept, match=r"feedback\.log.*No space left"):
                    await intake.give(one("a"), ROWS)
            assert (intake.feedback.pairs, search.told) == (0, [])
            assert await intake.give(one("a"), ROWS) == Receipt(1, (), 0)

    asyncio.run(main())
    assert read_feedback(path).sequence == 1


def test_no_more_pairs_wait_than_are_allowed_and_the_rest_is_told_when_to_come_again(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path, max_waiting=8) as (intake, search):
            search.gate.clear()
            first = asyncio.create_task(intake.give(one("first"), ROWS))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            pairs = tuple(Pair(f"q{i}", "p", 1.0) for i in range(6))
            waiting = [
                asyncio.create_task(intake.give(Given("c", 1.0, "six", pairs), ROWS)),
                asyncio.create_task(intake.give(Given("c", 1.0, "none", (), "", (0,)), ROWS)),
                asyncio.create_task(intake.remove(Removal(2.0, keys=("x",)))),
            ]
            await asyncio.sleep(0)
            for refused in (intake.give(one("a"), ROWS), intake.remove(Removal(2.0, keys=("y",)))):
                with pytest.raises(QueueFull, match="8 ") as caught:
                    await refused
                assert caught.value.retry_after >= 1
            search.gate.set()
            await asyncio.wait_for(asyncio.gather(first, *waiting), PATIENCE)
            assert await intake.give(one("a"), ROWS) == Receipt(1, (), 0)  # there is room again

    asyncio.run(main())
    assert [g.key for g in read_feedback(path).given] == ["first", "six", "a"]


def test_searches_that_learn_late_do_not_keep_from_an_answer_what_is_on_the_disk(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path, timeout_ms=10) as (intake, search):
            search.gate.clear()
            assert await intake.give(one("a"), ROWS) == Receipt(1, (), 0)
            assert await intake.give(one("b"), ROWS) == Receipt(1, (), 0)
            assert await intake.give(one("c", "r"), ROWS) == Receipt(1, (), 0)
            assert search.told == [[Change("q", 0, 1.0)]]
            assert [g.key for g in read_feedback(path).given] == ["a", "b", "c"]
            search.gate.set()
            for _ in range(1_000):  # nobody asks any more, and yet it is told
                if not intake._behind:
                    break
                await asyncio.sleep(0.001)
            assert search.told[1:] == [[Change("q", 0, 2.0), Change("r", 0, 1.0)]]
            assert await intake.give(one("d"), ROWS) == Receipt(1, (), 0)
            assert search.told[2:] == [[Change("q", 0, 3.0)]]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_what_failed_when_nobody_waited_any_more_is_told_with_the_next(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, timeout_ms=10) as (intake, search):
            search.gate.clear()
            search.failures = [ZeroDivisionError("a bug")]
            assert await intake.give(one("a"), ROWS) == Receipt(1, (), 0)
            assert intake._telling is not None
            search.gate.set()
            await asyncio.wait([intake._telling], timeout=PATIENCE)
            assert await intake.give(one("b", "r"), ROWS) == Receipt(1, (), 0)
            assert search.told[1:] == [[Change("q", 0, 1.0), Change("r", 0, 1.0)]]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_server_stops_though_searches_never_learn(path: Path) -> None:
    async def main() -> None:
        async with at_work(path, timeout_ms=10) as (intake, search):
            search.gate.clear()
            await intake.give(one("a"), ROWS)
            await asyncio.wait_for(intake.stop(), PATIENCE)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_many_changes_are_told_some_at_a_time(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):
            pairs = tuple(Pair(f"q{i}", "p", 1.0) for i in range(20))
            await intake.give(Given("c", 1.0, "k", pairs), ROWS)
            assert [len(some) for some in search.told] == [8, 8, 4]

    asyncio.run(main())


def test_what_the_search_failed_to_learn_is_told_again_with_the_last_word_on_it(
    path: Path,
) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):
            search.failures = [ZeroDivisionError("a bug"), NotReady("stopping")]
            with pytest.raises(ZeroDivisionError):
                await intake.give(one("a"), ROWS)
            with pytest.raises(NotReady):
                await intake.give(one("b"), ROWS)
            assert await intake.give(one("a"), ROWS) == Receipt(1, (), 0)  # the same, sent again
            assert search.told[-1] == [Change("q", 0, 2.0)]
            await intake.give(one("c", "r"), ROWS)
            assert search.told[-1] == [Change("r", 0, 1.0)]
            assert intake.feedback.judgements == 3

    asyncio.run(main())


def test_a_client_that_went_away_harms_nobody(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, search):
            search.gate.clear()
            gone = asyncio.create_task(intake.give(one("a"), ROWS))
            await asyncio.wait_for(search.begun.wait(), PATIENCE)
            gone.cancel()
            search.gate.set()
            assert await intake.give(one("b"), ROWS) == Receipt(1, (), 0)

    asyncio.run(main())
    assert len(read_feedback(path).given) == 2


def test_stopping_finishes_what_waits_and_takes_no_more(path: Path) -> None:
    async def main() -> None:
        async with at_work(path) as (intake, _):
            waiting = [asyncio.create_task(intake.give(one(str(i)), ROWS)) for i in range(20)]
            await asyncio.sleep(0)
            await intake.stop()
            assert await asyncio.gather(*waiting) == [Receipt(1, (), 0)] * 20
            with pytest.raises(NotReady):
                await intake.give(one("late"), ROWS)

    asyncio.run(main())
    assert read_feedback(path).sequence == 20


def bundle(logs: dict[str, int] | None, similarity: str = "cosine") -> Bundle:
    """What replaying needs of a bundle: two passages, and which logs it has in it."""
    neighbours = None if logs is None else SimpleNamespace(logs=logs)
    passages = SimpleNamespace(rows_of=lambda ids: {i: ROWS[i] for i in ids if i in ROWS})
    encoder = SimpleNamespace(similarity=similarity)
    manifest = SimpleNamespace(neighbours=neighbours, encoder=encoder)
    return cast(Bundle, SimpleNamespace(manifest=manifest, passages=passages))


def test_a_replay_leaves_out_what_the_bundle_has_and_what_it_does_not_know(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    unknown = Given("c", 3.0, "u", (Pair("q3", "gone", 1.0), Pair("q3", "other", 2.0)))
    log.append([one("a", "q1"), one("b", "q2"), unknown])
    log.close()
    settings = load_settings(None, {"bundle": "b", "feedback": path})
    for logs, queries in (
        (None, ["q1", "q2", "q3"]),
        ({"another log": 3}, ["q1", "q2", "q3"]),
        ({log.id: 1}, ["q2", "q3"]),
        ({log.id: 3}, []),
    ):
        again, feedback = replay(settings, bundle(logs))
        again.close()
        assert [change.query for change in feedback.changes()] == queries
        # By the keys of what is in the bundle too, a request sent again is known.
        assert feedback.receipt(one("a", "q1")) == Receipt(1, (), 0)
    assert read_feedback(path).sequence == 3


def test_a_bundle_whose_scores_are_dot_products_cannot_learn(path: Path) -> None:
    settings = load_settings(None, {"bundle": "b", "feedback": path})
    with pytest.raises(FieldError, match="dot product") as caught:
        replay(settings, bundle(None, "dot"))
    assert caught.value.field == "feedback"
    assert not path.exists()


def start(path: Path, logs: dict[str, int] | None = None, **limits: float) -> Feedback:
    """What a server counts that starts with these limits, on a bundle that has so much of ``logs``."""
    log, feedback = replay(
        load_settings(None, {"bundle": "b", "feedback": path, **limits}), bundle(logs)
    )
    log.close()
    return feedback


def test_a_server_notes_its_limits_where_they_are_others_than_before(path: Path) -> None:
    start(path)
    assert read_feedback(path).sequence == 0  # the log says the same without
    for _ in range(2):
        start(path, feedback_clients=2)
        assert (read_feedback(path).limits, read_feedback(path).sequence) == (Limits(2, 10.0), 1)
    start(path, feedback_client_weight=3.5)
    assert (read_feedback(path).limits, read_feedback(path).sequence) == (Limits(1, 3.5), 2)


def test_limits_that_cannot_be_noted_end_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(path)

    def full(_: object, __: Sequence[Record]) -> list[Record]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(FeedbackLog, "append", full)
        with pytest.raises(FieldError, match=r"feedback\.log.*No space left"):
            start(path, feedback_clients=2)
    start(path, feedback_clients=2)


def append(path: Path, *records: Record) -> dict[str, int]:
    """Put ``records`` into the log; its id and last number, as a bundle notes them."""
    log, _ = FeedbackLog.open(path)
    log.append(records)
    log.close()
    return {log.id: log.sequence}


def test_a_vote_held_back_in_a_bundle_counts_when_another_agrees_after_a_restart(
    path: Path,
) -> None:
    start(path, feedback_clients=2)
    folded = append(path, one("a", client="ann"))
    assert start(path, folded, feedback_clients=2).changes() == []
    append(path, one("b", client="bob"))
    assert start(path, folded, feedback_clients=2).changes() == [Change("q", 0, 2.0)]


def test_other_limits_change_what_counts_and_what_the_bundle_has_is_as_it_was(path: Path) -> None:
    """Folded while two clients had to agree; by now one is enough."""
    start(path, feedback_clients=2)
    folded = append(path, one("a", client="ann"), one("b", "r", "ann"), one("c", "r", "bob"))
    assert start(path, folded, feedback_clients=2).changes() == []
    assert start(path, folded).changes() == [Change("q", 0, 1.0)]


def test_where_the_end_of_the_log_was_lost_new_records_are_not_taken_for_what_was_folded(
    path: Path,
) -> None:
    folded = dict.fromkeys(append(path, one("a")), 7)
    settings = load_settings(None, {"bundle": "b", "feedback": path})
    log, _ = replay(settings, bundle(folded))
    (new,) = log.append([one("b", "new")])
    log.close()
    assert new.sequence == 8
    assert [change.query for change in start(path, folded).changes()] == ["new"]
