"""How many requests each API key may send: a token bucket for each.

A bucket holds ``burst`` tokens at most, gains ``per_second``, and a request takes one. All there is to know
of it is the time at which it will be full again::

    tokens = burst - per_second * max(0, full_at - now)

The clock is one that is never set, and the same in all processes of a machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests ``per_second`` on average, and ``burst`` at once after a pause."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request: whether it is ``allowed``, and what its sender is told.

    remaining   requests that may follow at once
    reset       seconds until the bucket is full
    wait        seconds until the next request is allowed, 0 if one is now
    """

    allowed: bool
    rate: Rate
    remaining: int
    reset: float
    wait: float

    @property
    def headers(self) -> dict[str, str]:
        """Fields of draft-ietf-httpapi-ratelimit-headers-07, and ``Retry-After`` where it is refused."""
        told = {
            "RateLimit-Limit": str(self.rate.burst), "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset)),
        }  # fmt: skip
        return told if self.allowed else told | {"Retry-After": str(max(1, math.ceil(self.wait)))}


class Times(Protocol):
    """Keeps a time for each key."""

    def change(self, key: str, step: Callable[[float], float]) -> None:
        """Put what ``step`` makes of the time of ``key`` into its place; 0 if there was none."""


class OwnTimes:
    """Times of one process."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def change(self, key: str, step: Callable[[float], float]) -> None:
        """As ``Times.change``."""
        self._times[key] = step(self._times.get(key, 0.0))


class Rates:
    """The buckets of all keys, which are full ``times`` tells when."""

    def __init__(self, times: Times, clock: Callable[[], float] = monotonic) -> None:
        self._times, self._clock = times, clock

    def take(self, key: str, rate: Rate) -> Taken:
        """Take a token out of the bucket of ``key``, if there is one."""
        now = self._clock()
        found: list[Taken] = []

        def step(full_at: float) -> float:
            # What another rate left, before the file of keys was changed, may be longer than this one fills.
            empty = min(max(0.0, full_at - now), rate.burst / rate.per_second)
            tokens = rate.burst - rate.per_second * empty
            # A token that has been regained but for a rounding is one.
            allowed = tokens > 1 - 1e-6
            if allowed:
                empty, tokens = empty + 1 / rate.per_second, tokens - 1
            wait = max(0.0, 1 - tokens) / rate.per_second
            found.append(Taken(allowed, rate, max(0, int(tokens + 1e-6)), empty, wait))
            return now + empty

        self._times.change(key, step)
        return found[0]
