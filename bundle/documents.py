"""A document from its passages: a bundle keeps no text twice."""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.bundle.passages import Passage


def joined(passages: Sequence[Passage]) -> str:
    """The text of the document that ``passages`` are all of, in order; offsets are those of its own text.

    Blanks stand for white space between passages, and for what is not read, such as a comment. If that is
    inside a passage, they stand after the passage's text.
    """
    pieces, end = [], 0
    for passage in passages:
        # There may be a gap between neighbours, or they share some text.
        pieces.append(" " * (passage.start - end))
        piece = passage.text.ljust(passage.end - passage.start)[max(0, end - passage.start) :]
        pieces.append(piece)
        end = max(end, passage.end)
    return "".join(pieces)
