"""The consoles that commands print to, which show any text on any terminal and let none control it."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lurcher.printable import printable, printable_json

if TYPE_CHECKING:
    from lurcher.index_builder.progress import Reporter


class PlainConsole(Console):
    """A console that prints strings as they are, without control characters.

    Titles, ids, names of files and errors come from elsewhere: an escape sequence in them is no command, and
    square brackets are no markup. ``markup=True`` is for strings of our own.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print ``objects`` as rich does."""
        plain = [printable(one, lines=True) if isinstance(one, str) else one for one in objects]
        super().print(*plain, **{"markup": False, "highlight": False, **options})


console = PlainConsole()
errors = PlainConsole(stderr=True)


def replace_what_cannot_be_shown() -> None:
    """Print a question mark for what stdout's encoding lacks; Windows and `LANG=C` have such encodings."""
    if isinstance(sys.stdout, TextIOWrapper):  # not where a test or a notebook has replaced it
        sys.stdout.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """Print ``document`` as one line of JSON, with escapes for what stdout cannot show."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    print(printable_json(document, unicode=encoding.startswith("utf")))


def warn(line: str) -> None:
    """Print a warning to stderr."""
    errors.print(f"warning: {line}", soft_wrap=True)


def report_line(line: str) -> None:
    """Print a line of progress to stderr."""
    errors.print(line, soft_wrap=True)


def progress() -> AbstractContextManager[Reporter]:
    """Return a progress bar or, if stderr is no terminal to redraw it on, a line now and then."""
    from lurcher.index_builder.progress import progress_bar, progress_lines

    if errors.is_terminal and not errors.is_dumb_terminal:
        return progress_bar(errors)
    return progress_lines(report_line)
