"""Who uses something that several snapshots of a bundle share; the last one closes it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Uses:
    """Counts the users of an opened thing and closes it when the last has gone; safe between threads."""

    def __init__(self, close: Callable[[], object]) -> None:
        """Nobody uses it yet; ``close`` is called once, by whoever is the last to release it."""
        self._lock, self._count = Lock(), 0
        self._afterwards: list[Callable[[], object]] = [close]

    def retain(self) -> None:
        """Count one user more."""
        with self._lock:
            self._count += 1

    def release(self) -> None:
        """Count one user less; the last one closes it."""
        with self._lock:
            self._count -= 1
            calls = [] if self._count else self._afterwards
            if not self._count:
                self._afterwards = []
        for call in calls:
            call()

    def afterwards(self, call: Callable[[], object]) -> None:
        """Call ``call`` when the last user has gone, such as to remove files; at once if it has already."""
        with self._lock:
            closed = not self._afterwards
            if not closed:
                self._afterwards.append(call)
        if closed:
            call()


class Use:
    """One user of ``uses``, from now until it is released, once, however often it is told to."""

    def __init__(self, uses: Uses) -> None:
        self._uses, self._lock, self._released = uses, Lock(), False
        uses.retain()

    def release(self) -> None:
        """Use it no more."""
        with self._lock:
            released, self._released = self._released, True
        if not released:
            self._uses.release()
