"""What of an HTML page should stay in one piece: preformatted text, and tables of data."""

from __future__ import annotations

from typing import NamedTuple

from lurcher.index_builder.corpus.markup import Range

_KINDS = frozenset({"table", "pre", "listing", "xmp", "plaintext"})


class _Open(NamedTuple):
    tag: str
    start: int
    headings: int  # of the page so far
    found: int  # blocks so far


class Blocks:
    """Follows a walk over a page and collects its blocks.

    A table that holds a heading or another table arranges a page, so it is not kept whole itself.
    """

    def __init__(self) -> None:
        self._found: list[Range] = []
        self._open: list[_Open] = []
        self._arranging: list[bool] = []  # whether each open table holds another

    def enter(self, tag: str, start: int, headings: int) -> None:
        """Begin an element; ``start`` is where its text would, ``headings`` how many came before."""
        if tag not in _KINDS:
            return
        if tag == "table":
            if self._arranging:
                self._arranging[-1] = True
            self._arranging.append(False)
        self._open.append(_Open(tag, start, headings, len(self._found)))

    def leave(self, tag: str, end: int, headings: int) -> None:
        """End an element; ``end`` is where its text ended."""
        if tag not in _KINDS:
            return
        block = self._open.pop()
        arranging = tag == "table" and self._arranging.pop()
        if end > block.start and headings == block.headings and not arranging:
            # What is inside belongs to it.
            del self._found[block.found :]
            self._found.append((block.start, end))

    def found(self) -> tuple[Range, ...]:
        """Start and end of each block, in order."""
        return tuple(self._found)
