"""Which work may wait, in which order it runs, and when there is too much of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

IsDisconnected = Callable[[], Awaitable[bool]]
"""Returns whether the client of a request has disconnected."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: clients share the server's time, and one that has gone waits for nothing."""

    client: str
    is_disconnected: IsDisconnected


async def _stays() -> bool:
    return False


# Whose the work is that the server does for itself.
OURSELVES = Caller("lurcher", _stays)
