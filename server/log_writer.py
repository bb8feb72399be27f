"""Log lines, written by a thread of their own: who reads them slowly, or not at all, stops no request."""

from __future__ import annotations

import json
from queue import Full, Queue
from threading import Thread
from typing import Protocol

# Lines that may wait; beyond it they are dropped, and counted.
_CAPACITY = 10_000


class Out(Protocol):
    """What takes lines, such as a text file."""

    def write(self, text: str, /) -> int:
        """Take ``text``. Raises OSError, or ValueError once it is closed."""

    def flush(self) -> None:
        """Pass on what was kept back."""


class LogWriter:
    """A file to print to, whose lines ``out`` gets as soon as it takes them."""

    def __init__(self, out: Out, capacity: int = _CAPACITY) -> None:
        self._out = out
        self._lines: Queue[str | None] = Queue(capacity)
        self._dropped = 0
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take ``text``, or drop it where too much waits already."""
        try:
            self._lines.put_nowait(text)
        except Full:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Return at once: lines are on their way."""

    @property
    def waiting(self) -> int:
        """How many lines wait, that which is being written among them."""
        return self._lines.unfinished_tasks

    def close(self, seconds: float) -> None:
        """Wait until all is written, or so many ``seconds``."""
        try:
            self._lines.put(None, timeout=seconds)
        except Full:
            return
        self._thread.join(seconds)

    def _write(self) -> None:
        line = ""
        while (part := self._lines.get()) is not None:
            line += part
            if not line.endswith("\n"):  # its end comes by itself
                self._lines.task_done()
                continue
            # In one piece, as other processes may write to the same pipe.
            text, line = line, ""
            dropped, self._dropped = self._dropped, 0
            if dropped:
                lost = {"event": "log lines were lost", "lines": dropped, "level": "warning"}
                text = f"{json.dumps(lost)}\n{text}"
            try:
                self._out.write(text)
                if self._lines.empty():
                    self._out.flush()
            except (OSError, ValueError):  # nobody reads, or the disk is full: the server goes on
                self._dropped += dropped + 1
            self._lines.task_done()
