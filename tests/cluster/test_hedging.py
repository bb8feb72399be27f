"""Requests that are sent twice: when, how many, and that one reply is taken and the other cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from lurcher.cluster.hedging import Hedging, Outcome, first_reply

KEY = (3, "find")
# Far more than a reply of these tests takes, and little enough for a request that hangs to be given up.
PATIENCE = 5.0
FOREVER = 3_600.0


class Replicas:
    """Answers each request as the next of ``plan``: a reply, an error, or after so many seconds the reply."""

    def __init__(self, *plan: str | Exception | float) -> None:
        self.plan, self.sent, self.cancelled = plan, 0, list[int]()

    async def ask(self) -> str:
        number, self.sent = self.sent, self.sent + 1
        step = self.plan[number]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            return step
        try:
            await asyncio.sleep(step)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return f"late {number}"


class Asked:
    """What became of asking ``replicas`` while replies take 1 ms as a rule."""

    def __init__(
        self, replicas: Replicas, seconds: float = PATIENCE, *, has_second: bool = True,
        before: Callable[[Hedging], object] = lambda _: None,
    ) -> None:  # fmt: skip
        self.outcomes: list[Outcome] = []
        self.failed: list[object] = []
        hedging = Hedging(self.outcomes.append)
        for _ in range(32):
            hedging.took(KEY, 0.001)
        before(hedging)

        async def run() -> str | None:
            found = await first_reply(
                replicas.ask, hedging.clock() + seconds, KEY, hedging, has_second=has_second,
                failed=lambda task: self.failed.append(task.exception()),
            )  # fmt: skip
            await asyncio.sleep(0)  # what was cancelled notices
            return found

        self.reply = asyncio.run(run())


def test_a_slow_replica_is_given_up_for_one_that_answers() -> None:
    replicas = Replicas(FOREVER, "second")
    asked = Asked(replicas)
    assert asked.reply == "second"
    assert asked.outcomes == ["second"]
    assert replicas.cancelled == [0]


def test_the_first_reply_counts_if_it_is_the_slow_one() -> None:
    replicas = Replicas(0.05, FOREVER)
    asked = Asked(replicas)
    assert asked.reply == "late 0"
    assert asked.outcomes == ["first"]
    assert replicas.cancelled == [1]


def test_a_fast_reply_is_asked_for_once() -> None:
    replicas = Replicas("first")
    asked = Asked(replicas)
    assert (asked.reply, asked.outcomes, replicas.sent) == ("first", [], 1)


@pytest.mark.parametrize("has_second", [True, False])
def test_a_request_that_fails_is_sent_again_at_once(has_second: bool) -> None:
    error = ValueError("a replica died")
    asked = Asked(Replicas(error, "second"), has_second=has_second)
    assert (asked.reply, asked.outcomes, asked.failed) == ("second", [], [error])


def test_a_request_that_fails_twice_is_not_sent_again() -> None:
    replicas = Replicas(ValueError("one"), ValueError("two"))
    asked = Asked(replicas)
    assert (asked.reply, len(asked.failed), replicas.sent) == (None, 2, 2)


def test_a_slow_request_that_fails_at_last_leaves_the_other() -> None:
    class Failing(Replicas):
        async def ask(self) -> str:
            reply = await super().ask()
            if reply == "late 0":
                raise ValueError(reply)
            return reply

    asked = Asked(Failing(0.05, 0.2))
    assert (asked.reply, asked.outcomes, len(asked.failed)) == ("late 1", ["second"], 1)


def test_nothing_is_waited_for_after_the_time() -> None:
    replicas = Replicas(FOREVER, FOREVER)
    asked = Asked(replicas, 0.05)
    assert (asked.reply, asked.outcomes) == (None, ["neither"])
    assert sorted(replicas.cancelled) == [0, 1]


def test_one_replica_alone_is_waited_for() -> None:
    replicas = Replicas(0.05, "second")
    asked = Asked(replicas, has_second=False)
    assert (asked.reply, replicas.sent) == ("late 0", 1)


def test_no_request_is_sent_twice_where_too_many_were() -> None:
    def spend(hedging: Hedging) -> None:
        while hedging.may():
            pass

    replicas = Replicas(0.05, "second")
    asked = Asked(replicas, before=spend)
    assert (asked.reply, replicas.sent) == ("late 0", 1)


def test_the_delay_is_what_nineteen_of_twenty_recent_replies_took() -> None:
    hedging = Hedging(lambda _: None)
    times = np.random.default_rng(5).exponential(size=1_000)
    for count, seconds in enumerate(times, start=1):
        hedging.took(KEY, seconds)
        delay = hedging.delay(KEY)
        if count < 32:
            assert delay is None
        else:
            recent = times[max(0, count - 256) : count]
            assert np.mean(recent <= delay) == pytest.approx(0.95, abs=1.01 / len(recent))
    assert hedging.delay((4, "find")) is None, "each shard has times of its own"


def test_few_requests_are_sent_twice_however_slow_all_are() -> None:
    hedging = Hedging(lambda _: None)
    twice = 0
    for _ in range(2_000):
        hedging.delay(KEY)
        twice += hedging.may()
    assert 95 <= twice <= 2_000 * 0.05 + 8
