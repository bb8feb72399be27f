"""What a corpus is made of: documents, with the structure that says where they may be split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Section(NamedTuple):
    """A run of a document's text under one heading; it ends where the next section starts.

    start    offset of its first character in the text, the heading's own where the text has it
    path     its heading and those above it, outermost first, without the document's title; else ()
    anchor   what comes after ``#`` in a link to it; "" where the format has none
    """

    start: int
    path: tuple[str, ...]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """What a user brought as one thing: a file, or a record of one.

    ``sections`` ascend by start; () means one section without a heading. ``blocks`` are start and end of what
    should stay in one piece (code, tables); they ascend and do not overlap. All offsets are in code points of
    ``text``.
    """

    id: str
    text: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()
