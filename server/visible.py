"""Which write searches know, and waiting until they know one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lurcher.errors import DeadlinePassed


class Visible:
    """The last write that searches know; used in the thread of the event loop."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._changed = asyncio.Event()  # set, and replaced, with each new state
        self._tell: Callable[[int], object] = int

    def tell(self, tell: Callable[[int], object]) -> None:
        """Call ``tell`` with the last write that searches know, now and whenever that is another."""
        self._tell = tell
        tell(self.sequence)

    def show(self, sequence: int) -> None:
        """Searches know all writes up to ``sequence`` now."""
        self.sequence = sequence
        self._tell(sequence)
        self._changed.set()
        self._changed = asyncio.Event()

    async def reached(self, sequence: int, seconds: float) -> None:
        """Wait until searches know write ``sequence``. Raises DeadlinePassed after so many ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while self.sequence < sequence:
                    await self._changed.wait()
        except TimeoutError as error:
            reason = (
                f"write {sequence} is not visible yet; searches know those up to {self.sequence}"
            )
            raise DeadlinePassed(reason) from error
