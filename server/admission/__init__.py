"""Which work may wait, in which order it runs, and when there is too much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

IsDisconnected = Callable[[], bool]
"""Returns whether the client of a request has disconnected; any thread may call it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: clients share the server's time, and one that has gone waits for nothing."""

    client: str
    is_disconnected: IsDisconnected


def stays() -> bool:
    """Return that the client is there: it is the server itself, or cannot be asked."""
    return False


# Whose the work is that the server does for itself.
OURSELVES = Caller("lurcher", stays)
