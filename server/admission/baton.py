"""What one of several threads holds at a time: who has it works, others wait in the order they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, local
from time import perf_counter

from lurcher.errors import DeadlinePassed


class _Thread(local):
    """What each thread knows of its own turns."""

    began: float = 0.0  # its present one
    paused: float = 0.0  # seconds, in all of them
    is_done: Callable[[], bool] = staticmethod(lambda: False)


class Baton:
    """Turns of threads that share what only one of them may use; a ``lurcher.retrieval.turns.Turn``.

    A plain lock would not do: whoever lets go of it may have it again before the one that waits is awake.
    """

    def __init__(self, seconds: float) -> None:
        """Let others go first at the first pause after so many ``seconds``."""
        self._seconds = seconds
        self._lock = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()
        self._thread = _Thread()

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return len(self._waiting)

    @contextmanager
    def held(self, is_done: Callable[[], bool]) -> Iterator[None]:
        """Hold it for the time of the block, in turns; ``is_done``: nobody wants the result any more."""
        self._thread.is_done = is_done
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
        if self._waiting:
            self._pass_on()
            self._take()
            self._thread.paused += perf_counter() - now
        else:
            self._thread.began = now

    def clock(self) -> float:
        """As ``Turn.clock``."""
        return perf_counter() - self._thread.paused

    def _take(self) -> None:
        with self._lock:
            is_free, self._held = not self._held, True
            if not is_free:
                turn = Lock()
                turn.acquire()
                self._waiting.append(turn)
        if not is_free:
            turn.acquire()  # until it is passed on
        self._thread.began = perf_counter()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False
