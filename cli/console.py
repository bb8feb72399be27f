"""The consoles that commands print to."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from lurcher.index_builder.progress import Reporter

console = Console()
errors = Console(stderr=True)


def report_line(line: str) -> None:
    """Print a line of a training's progress to stderr."""
    errors.print(line, markup=False, highlight=False)


def progress() -> AbstractContextManager[Reporter]:
    """Return a progress bar; a silent one if stderr is no terminal, where each redraw would be a line."""
    from lurcher.index_builder.progress import Silent, progress_bar

    return progress_bar(errors) if errors.is_terminal else nullcontext(Silent())
