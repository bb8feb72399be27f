"""What a reader of marked-up text returns: the text, and the structure that says where it may be split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lurcher.index_builder.corpus.document import Section

# In characters. What is longer is no heading, but a paragraph marked as one.
MAX_HEADING = 1000

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Markup:
    """A text with its structure; offsets are in code points of ``text``.

    ``sections`` ascend by start, the first at 0; () where the text has no heading. ``blocks`` are start and
    end of code and tables; ``hidden`` are start and end of what is in the text but is not read: front matter,
    comments, scripts, the bytes of images. Both ascend and do not overlap; hidden text may be inside a block.
    """

    title: str
    text: str
    sections: tuple[Section, ...] = ()
    blocks: tuple[Range, ...] = ()
    hidden: tuple[Range, ...] = ()

    def is_read(self) -> bool:
        """Whether there is anything but white space outside of what is hidden."""
        starts = (0, *(end for _, end in self.hidden))
        ends = (*(start for start, _ in self.hidden), len(self.text))
        pieces = zip(starts, ends, strict=True)
        return any(self.text[start:end].strip() for start, end in pieces)


class Heading(NamedTuple):
    """A heading: where it starts, its level (1 is outermost), its text without markup, its anchor."""

    start: int
    level: int
    text: str
    anchor: str = ""


def outline(title: str, headings: Iterable[Heading]) -> tuple[Section, ...]:
    """A section for each heading, which ascend by start, and one for what comes before the first.

    The first heading that is the document's title is left out of all paths.
    """
    sections: list[Section] = []
    above: list[Heading] = []
    name: Heading | None = None
    for heading in headings:
        if name is None and heading.text == title:
            name = heading
        while above and above[-1].level >= heading.level:
            above.pop()
        above.append(heading)
        if not sections and heading.start:
            sections.append(Section(0, ()))
        path = tuple(one.text for one in above if one is not name)
        sections.append(Section(heading.start, path, heading.anchor))
    return tuple(sections)


def one_line(text: str) -> str:
    """The text with each run of white space as one space, and none at its ends."""
    return " ".join(text.split())
