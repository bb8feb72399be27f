"""A passage, and the line that it is in a file (``bundle.passages``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is retrieved: a document, or a part of one.

    title      the document's
    document   the document's id; "" stands for the passage's own, of a document that was not split
    section    headings above the passage, outermost first
    start, end where it stands in the document's text, in code points; ``end`` -1 stands for the text's length
    anchor     of its section, what comes after ``#`` in a link; "" if there is none
    url        a link to it; "" if there is none
    """

    id: str
    text: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    document: str = ""
    section: tuple[str, ...] = ()
    start: int = 0
    end: int = -1
    anchor: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if not self.document:
            object.__setattr__(self, "document", self.id)
        if self.end < 0:
            object.__setattr__(self, "end", self.start + len(self.text))

    @property
    def heading(self) -> str:
        """Title and section in one line."""
        return heading(self.title, self.section)

    @property
    def content(self) -> str:
        """What is encoded: heading and text joined by a blank, as BEIR joins title and text."""
        return content_of(self.title, self.section, self.text)


def heading(title: str, section: Sequence[str]) -> str:
    """A title and the headings below it in one line, as they are shown and encoded: "npm-ls > Synopsis"."""
    return " > ".join([title, *section] if title else section)


def content_of(title: str, section: Sequence[str], text: str) -> str:
    """What is encoded of a passage."""
    return f"{heading(title, section)} {text}".strip()


def line_of(row: int, p: Passage, source: bytes | None, since: float | None) -> tuple[Any, ...]:
    """The line of a passage in the table."""
    return (
        row, p.id, p.title, p.text, json.dumps(p.metadata, ensure_ascii=False),
        None if p.document == p.id else p.document,
        json.dumps(p.section, ensure_ascii=False) if p.section else None,
        p.start, p.end, p.anchor or None, p.url or None, source, since,
    )  # fmt: skip


def passage_of(
    id_: str, title: str, text: str, metadata: str, document: str | None, section: str | None,
    start: int, end: int, anchor: str | None, url: str | None,
) -> Passage:  # fmt: skip
    """The passage of a line's columns."""
    return Passage(
        id_, text, title, json.loads(metadata), document or "", path_of(section), start, end,
        anchor or "", url or "",
    )  # fmt: skip


def path_of(section: str | None) -> tuple[str, ...]:
    """The headings above a passage."""
    return tuple(json.loads(section)) if section else ()
