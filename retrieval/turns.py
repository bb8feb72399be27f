"""How long work lets others go first."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol


class Turn(Protocol):
    """The right to use the snapshot, which long work gives away for a while at each pause."""

    def pause(self) -> None:
        """Let others go first, if any wait and this has had its turn. Raises DeadlinePassed.

        That is where nobody wants the result any more.
        """

    def clock(self) -> float:
        """Seconds of work of the calling thread: pauses do not count."""


class _Alone:
    """The turn of whoever shares the snapshot with nobody."""

    def pause(self) -> None:
        """Go on."""

    def clock(self) -> float:
        """Seconds that have passed."""
        return perf_counter()


ALONE = _Alone()
