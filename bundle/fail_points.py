"""Fail points: named moments of a write at which a test can kill the process or raise.

Code that writes takes a ``FailPoint`` and calls it with the name of each moment at which two steps that
belong together are half done. Nothing happens there unless a test passes one of its own.
"""

from __future__ import annotations

from collections.abc import Callable

FailPoint = Callable[[str], None]


def carry_on(place: str) -> None:
    """Do nothing at ``place``; the fail point outside of tests."""
