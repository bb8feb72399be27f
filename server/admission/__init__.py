"""Which work may wait, in which order it runs, and when there is too much of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

IsDisconnected = Callable[[], Awaitable[bool]]
"""Returns whether the client of a request has disconnected."""
