"""How fast writing may go: as it likes while nothing is asked, else for a share of the time.

A thread that writes asks before each piece of work: a passage to encode, some passages to copy. While
requests are being answered the next piece begins when the last one, by what it cost of the processor, has had
no more than the share. So a write on its own does not wait, and many in a row leave the machine to searches.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, sleep, thread_time

# Requests come so seldom that the server is idle if there was none for so many seconds.
_QUIET = 0.25
# So often it is looked whether there is one.
_STEP = 0.005
# At most so many seconds a piece waits: writing never stands still.
_MOST = 2.0


class WritePace:
    """The pace of one thread that writes; make one for each."""

    def __init__(
        self, busy: Callable[[], bool], share: float, clock: Callable[[], float] = perf_counter,
        cost: Callable[[], float] = thread_time, wait: Callable[[float], object] = sleep,
    ) -> None:  # fmt: skip
        """Take ``share`` of the time, above 0, while ``busy`` says that requests are being answered.

        ``cost`` is the processor's time of the thread that calls ``pause``.
        """
        self._busy, self._share = busy, share
        self._clock, self._cost, self._wait = clock, cost, wait
        self._seen = float("-inf")  # when it was busy last
        # When the last piece began, and the cost by then.
        self._begun, self._spent = float("-inf"), 0.0

    def pause(self) -> None:
        """Return when the next piece of work may begin."""
        taken = self._cost() - self._spent
        free = min(self._begun + taken / self._share, self._clock() + _MOST)
        while self._clock() < free and self._is_busy():
            self._wait(_STEP)
        self._begun, self._spent = self._clock(), self._cost()

    def _is_busy(self) -> bool:
        if self._busy():
            self._seen = self._clock()
        return self._clock() - self._seen < _QUIET
