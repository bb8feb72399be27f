"""How far a build is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Between two lines where there is no terminal.
_EVERY_SECONDS = 30.0


class Reporter(Protocol):
    """Receives the progress of a build, from any thread."""

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Begin a stage of ``total`` steps (None: unknown), ``done`` of them done in an earlier run."""

    def advance(self, steps: int) -> None:
        """Count ``steps`` more as done."""


class Silent:
    """A reporter that does nothing."""

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Do nothing."""

    def advance(self, steps: int) -> None:
        """Do nothing."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class Bar:
    """A reporter that draws one bar on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("")

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Restart the bar for the stage ``name``."""
        self._progress.reset(self._task, description=name, total=total)
        # Set apart from reset: steps of an earlier run must not count into the rate.
        self._progress.update(self._task, completed=done)

    def advance(self, steps: int) -> None:
        """Move the bar by ``steps``."""
        self._progress.advance(self._task, steps)


class Lines:
    """A reporter that tells in words how far the stage is, whenever it is asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self.stage("starting", None)

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """Begin the stage ``name``."""
        with self._lock:
            self._name, self._total, self._done = name, total, done
            self._before, self._start = done, self._clock()

    def advance(self, steps: int) -> None:
        """Count ``steps``."""
        with self._lock:
            self._done += steps

    def line(self) -> str:
        """Say what is done, such as "encoding: 2,048 of 10,000 (20%), 91/s, 88 s left"."""
        with self._lock:
            name, total, done = self._name, self._total, self._done
            new, seconds = done - self._before, self._clock() - self._start
        parts = [f"{done:,} of {total:,} ({done / total:.0%})" if total else f"{done:,}"]
        if new and seconds:
            parts.append(f"{new / seconds:,.0f}/s")
            if total:
                parts.append(f"{(total - done) * seconds / new:,.0f} s left")
        else:
            parts.append(f"for {seconds:,.0f} s")
        return f"{name}: {', '.join(parts)}"


@contextmanager
def progress_lines(say: Callable[[str], None], every: float = _EVERY_SECONDS) -> Iterator[Lines]:
    """Lines, of which ``say`` gets one ``every`` so many seconds until the end of the block."""
    lines, ended = Lines(), Event()

    def beat() -> None:
        while not ended.wait(every):
            say(lines.line())

    thread = Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        ended.set()
        thread.join()


@contextmanager
def progress_bar(console: Console) -> Iterator[Bar]:
    """A bar on ``console`` that disappears at the end of the block."""
    columns = (
        TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress)
