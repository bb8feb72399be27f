"""A queue that is fair to clients: who waits with much lets those with little go before the rest of it.

Start-time fair queueing (Goyal, Vin and Cheng 1996, section 2): each client has a line of its own, and
virtual time goes on by what is served. A client's next piece of work starts, in virtual time, where its last
one ended, or now if none waits; the one that starts first goes first. So clients get equal shares of the
seconds, whatever the sizes and numbers of their pieces, and one client's pieces stay in their order.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class _Line(Generic[Item]):
    items: deque[tuple[float, Item]] = field(default_factory=deque)
    seconds: float = 0.0


class FairQueue(Generic[Item]):
    """Items with what each will take in seconds; not for use by several threads."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line[Item]] = {}
        # When the first item of each line starts, in virtual time; then in order of arrival.
        self._starts: list[tuple[float, int, str]] = []
        self._order = count()
        self._now = 0.0  # virtual time
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def seconds(self) -> float:
        """What all of it will take."""
        return sum(line.seconds for line in self._lines.values())

    @property
    def heads(self) -> list[Item]:
        """The item of each client that came first."""
        return [line.items[0][1] for line in self._lines.values()]

    def push(self, client: str, seconds: float, item: Item) -> None:
        """Put ``item`` at the end of the line of ``client``."""
        line = self._lines.get(client)
        if line is None:
            line = self._lines[client] = _Line()
            self._begin(client, self._now)
        line.items.append((seconds, item))
        line.seconds += seconds
        self._length += 1

    def pop(self) -> tuple[float, Item]:
        """The next item, and what it will take. Raises IndexError where there is none."""
        if not self._starts:
            raise IndexError("nothing waits")
        self._now, _, client = heapq.heappop(self._starts)
        line = self._lines[client]
        seconds, item = line.items.popleft()
        line.seconds -= seconds
        self._length -= 1
        if line.items:
            self._begin(client, self._now + seconds)
        else:
            del self._lines[client]
        return seconds, item

    def before(self, client: str, seconds: float) -> float:
        """How many seconds of work go before a new item of ``client`` that takes ``seconds``, at most.

        All of its own, and of each other client's no more than that and the item together.
        """
        line = self._lines.get(client)
        own = 0.0 if line is None else line.seconds
        others = (one.seconds for name, one in self._lines.items() if name != client)
        return own + sum(min(other, own + seconds) for other in others)

    def _begin(self, client: str, at: float) -> None:
        heapq.heappush(self._starts, (at, next(self._order), client))
