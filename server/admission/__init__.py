"""Who may wait, in which order, and when too many do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

IsDisconnected = Callable[[], Awaitable[bool]]
"""Tells whether the client of a request has gone away."""
