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


class Part(NamedTuple):
    """A passage that a record brought itself: where it stands in the document's text, and what it is called.

    ``title`` is a heading below those of ``section``; "" for none.
    """

    start: int
    end: int
    title: str = ""
    section: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """What a user brought as one thing: a file, or a record of one.

    ``sections`` ascend by start; () means one section without a heading. ``blocks`` are start and end of what
    should stay in one piece (code, tables); they ascend and do not overlap. ``hidden`` are start and end of
    what is no text (comments, front matter), in the same order: no passage has it. ``parts`` are the passages
    that a record brought; () leaves it to the build to find them. All offsets are in code points of ``text``.
    """

    id: str
    text: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()
    hidden: tuple[tuple[int, int], ...] = ()
    parts: tuple[Part, ...] = ()
