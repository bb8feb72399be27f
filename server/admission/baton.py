"""What one of two threads holds at a time, that of short work and that of long: who has it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, local
from time import perf_counter

from lurcher.errors import DeadlinePassed

# A piece of long work that went on for long without a pause is made up for at most so long, in seconds.
_MOST_OWED = 1.0


class _Thread(local):
    """What each thread knows of its own turns."""

    is_long = False
    began = 0.0  # its present one
    paused = 0.0  # seconds, in all of them
    is_done: Callable[[], bool] = staticmethod(lambda: False)


class Baton:
    """Turns of short and long work; a ``lurcher.retrieval.turns.Turn``.

    Long work has a ``share`` of the time while short work waits, and all that short work leaves.
    """

    def __init__(self, seconds: float, share: float) -> None:
        """Long work lets others go first at the first pause after so many ``seconds``."""
        self._seconds, self._ratio = seconds, (1 - share) / share
        self._changed = Condition()
        self._held = False
        self._busy = False
        self._owed = 0.0  # seconds that short work has a right to before long work goes on
        self._thread = _Thread()

    def tell(self, busy: bool) -> None:
        """Take note whether any short work waits or is in hand."""
        if busy != self._busy:
            with self._changed:
                self._busy = busy
                self._changed.notify_all()

    @contextmanager
    def held(self, is_done: Callable[[], bool], *, long: bool) -> Iterator[None]:
        """Hold it for the time of the block; ``is_done``: nobody wants the result any more."""
        self._thread.is_done, self._thread.is_long = is_done, long
        self._take()
        try:
            yield
        finally:
            self._pass_on()

    def pause(self) -> None:
        """As ``Turn.pause``; call it where it is held."""
        now = perf_counter()
        if now - self._thread.began < self._seconds:
            return
        if self._thread.is_done():
            raise DeadlinePassed("nobody waits for it any more")
        if self._thread.is_long and self._busy:
            self._pass_on()
            self._take()
            self._thread.paused += perf_counter() - now

    def clock(self) -> float:
        """As ``Turn.clock``."""
        return perf_counter() - self._thread.paused

    def _take(self) -> None:
        with self._changed:
            is_long = self._thread.is_long
            self._changed.wait_for(
                lambda: not (self._held or (is_long and self._busy and self._owed > 0))
            )
            self._held = True
        self._thread.began = perf_counter()

    def _pass_on(self) -> None:
        spent = perf_counter() - self._thread.began
        with self._changed:
            self._held = False
            if self._thread.is_long:
                self._owed = min(spent * self._ratio, _MOST_OWED)
            else:
                self._owed = max(0.0, self._owed - spent)
            self._changed.notify_all()
