"""How a hit looks on a terminal: score, title and what it is called on one line, a sentence below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from lurcher.printable import printable

_MAX_TITLE = 100
_MAX_EXCERPT = 300
_INDENT = 7


def print_hit(
    console: Console,
    score: float,
    title: str,
    name: str,
    text: str,
    highlights: Sequence[tuple[int, int]],
) -> None:
    """Print a hit to ``console``.

    ``name`` is its id or its link; without a ``title`` it stands for that. The first of ``highlights`` is
    start and end in ``text`` of the sentence that shares most with the query; if there is none, the
    beginning of the text is printed.
    """
    start, end = next(iter(highlights), (0, len(text)))
    head = Text.assemble((f"{score:.3f}  ", "bold"), (_cut(title or name, _MAX_TITLE), "cyan"))
    if title:
        head.append(f"  {printable(name)}", "dim")
    console.print(head, soft_wrap=True)
    console.print(Text(" " * _INDENT + _cut(text[start:end], _MAX_EXCERPT)))


def _cut(text: str, most: int) -> str:
    """``text`` on one line, with an ellipsis if that is not all of it."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{line[:most].rstrip()}…"
