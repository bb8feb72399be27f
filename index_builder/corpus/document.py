"""What a corpus is made of: documents, with the structure that says where they may be split."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
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

    @property
    def content_hash(self) -> bytes:
        """16 bytes that change with anything of the document but the order of its metadata."""
        text = json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def source(self, passages: int) -> bytes:
        """What each of so many passages of it keeps: its ``content_hash``, and how many there are."""
        return self.content_hash + passages.to_bytes(4, "little")


def hash_in(source: bytes, passages: int) -> bytes | None:
    """The hash of a document of which so many passages with ``source`` are there; None if some are not."""
    return source[:-4] if int.from_bytes(source[-4:], "little") == passages else None
