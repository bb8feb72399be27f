"""When a slow shard is asked a second time, of another replica, and whose reply is taken.

Hedged requests: Dean and Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013. The second
request is sent when the first has taken longer than 95 % of the recent ones, so that few are sent twice.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Hashable
from time import perf_counter
from typing import Literal, TypeVar

# The 95th percentile of the last 256 replies, as soon as there were 32.
_QUANTILE, _KEPT, _ENOUGH = 0.95, 256, 32
# Second requests for each first one, in the long run, and how many may come at once.
_SHARE, _BURST = 0.05, 8.0
# Times that a shard is asked: a second time if the first takes long, or fails.
_TRIES = 2

Outcome = Literal["first", "second", "neither"]
_Reply = TypeVar("_Reply")


class Hedging:
    """Knows how long replies take lately, and how many requests may be sent twice.

    Replies are told apart by a key: of which shard and what they are. Call it from one thread.
    """

    def __init__(
        self, told: Callable[[Outcome], object], clock: Callable[[], float] = perf_counter
    ) -> None:
        """``told`` is called for each request that was sent twice, with whose reply was taken.

        ``clock`` gives seconds.
        """
        self.told, self.clock = told, clock
        self._recent: defaultdict[Hashable, _Recent] = defaultdict(_Recent)
        self._left = _BURST

    def delay(self, key: Hashable) -> float | None:
        """Seconds that a request which is sent now may take before it is slow; None: too few are known."""
        self._left = min(_BURST, self._left + _SHARE)
        return self._recent[key].quantile()

    def may(self) -> bool:
        """Whether one more request may be sent twice; if so, it counts as sent."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def took(self, key: Hashable, seconds: float) -> None:
        """Note that a reply came after so many ``seconds``, or did not come within them."""
        self._recent[key].add(seconds)


class _Recent:
    """The last times, in the order in which they came and in ascending order."""

    def __init__(self) -> None:
        self._came: deque[float] = deque()
        self._ascending: list[float] = []

    def add(self, seconds: float) -> None:
        if len(self._came) == _KEPT:
            del self._ascending[bisect_left(self._ascending, self._came.popleft())]
        self._came.append(seconds)
        insort(self._ascending, seconds)

    def quantile(self) -> float | None:
        if len(self._came) < _ENOUGH:
            return None
        return self._ascending[int(_QUANTILE * len(self._ascending))]


async def first_reply(
    ask: Callable[[], Coroutine[object, object, _Reply]], until: float, key: Hashable, hedging: Hedging,
    *, has_second: bool, failed: Callable[[asyncio.Task[_Reply]], object],
) -> _Reply | None:  # fmt: skip
    """The first reply to ``ask``; None if it fails twice, or the clock of ``hedging`` comes to ``until``.

    It is asked a second time once the first request fails, which ``failed`` is given, or is slow and there is
    a second replica. A request that is not needed any more is cancelled.
    """
    start = hedging.clock()
    delay = hedging.delay(key)
    slow_at = start + delay if has_second and delay is not None else until
    first = asyncio.create_task(ask())
    tasks, waiting, is_hedged = [first], {first}, False
    outcome: Outcome = "neither"
    try:
        while waiting and (now := hedging.clock()) < until:
            if now >= slow_at and len(tasks) < _TRIES and hedging.may():
                is_hedged = True
                tasks.append(asyncio.create_task(ask()))
                waiting.add(tasks[-1])
            wake = slow_at if now < slow_at else until
            done, waiting = await asyncio.wait(
                waiting, timeout=wake - now, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                if not one.cancelled() and one.exception() is None:
                    outcome = "first" if one is first else "second"
                    hedging.took(key, hedging.clock() - start)
                    return one.result()
                failed(one)
            if not waiting and len(tasks) < _TRIES:
                tasks.append(asyncio.create_task(ask()))
                waiting.add(tasks[-1])
        if waiting:
            hedging.took(key, hedging.clock() - start)
        return None
    finally:
        for one in waiting:
            one.cancel()
        if is_hedged:
            hedging.told(outcome)
