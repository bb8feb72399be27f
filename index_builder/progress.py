"""One progress bar for a whole build: the stage, steps done, rate and time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


class Reporter(Protocol):
    """Receives the progress of a build."""

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


@contextmanager
def progress_bar(console: Console) -> Iterator[Bar]:
    """A bar on ``console`` that disappears at the end of the block."""
    columns = (
        TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress)
