"""What is split: the text of a document that is to be searched, and where its parts stand in the document."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from lurcher.bundle.passages import Passage
from lurcher.index_builder.corpus.document import Document, Part, Section
from lurcher.index_builder.split.units import Ints


@dataclass(frozen=True, slots=True)
class Runs:
    """What is left of a text without its hidden parts: runs of it, one after the other."""

    starts: Ints  # (n,) of each run in the document's text
    places: Ints  # (n + 1,) of each run in what is left, and the length of that

    def inside(self, offset: int) -> int:
        """Where the document's ``offset`` is in what is left; of a hidden one, where it would be."""
        run = max(int(np.searchsorted(self.starts, offset, "right")) - 1, 0)
        place = int(self.places[run]) + max(offset - int(self.starts[run]), 0)
        return min(place, int(self.places[run + 1]))

    def outside(self, place: int) -> int:
        """The offset in the document of the sign at ``place``."""
        run = int(np.searchsorted(self.places, place, "right")) - 1
        run = min(max(run, 0), len(self.starts) - 1)
        return int(self.starts[run]) + place - int(self.places[run])


@dataclass(frozen=True, slots=True)
class Source:
    """A text to be split, all of a document or a part that its record named.

    Offsets of ``sections`` and ``blocks`` are those of ``text``; there is always a section that starts at 0.
    """

    document: Document
    title: str
    text: str
    runs: Runs
    sections: tuple[Section, ...]
    starts: tuple[int, ...]  # of the sections
    blocks: tuple[tuple[int, int], ...] = ()

    def path(self, start: int, end: int) -> tuple[str, ...]:
        """What the section paths of ``text[start:end]`` have in common, from the outermost on."""
        first = bisect_right(self.starts, start) - 1
        last = max(bisect_left(self.starts, end) - 1, first)
        paths = [one.path for one in self.sections[first : last + 1]]
        same = (len(set(level)) == 1 for level in zip(*paths, strict=False))
        return paths[0][: sum(takewhile(bool, same))]

    def anchor(self, start: int) -> str:
        """The anchor of the section that ``start`` lies in."""
        return self.sections[bisect_right(self.starts, start) - 1].anchor

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]`` starts and ends in the document's own text."""
        if start == end:
            return (self.runs.outside(start),) * 2
        return self.runs.outside(start), self.runs.outside(end - 1) + 1


def sources_of(document: Document) -> Iterator[Source]:
    """The texts of ``document`` that are split each by itself: its parts, or all of it."""
    if not document.parts:
        yield _whole(document)
    for part in document.parts:
        runs = Runs(np.array([part.start]), np.array([0, part.end - part.start]))
        yield Source(
            document, document.title, document.text[part.start : part.end], runs,
            (Section(0, _headings(document, part)),), (0,),
        )  # fmt: skip


def _headings(document: Document, part: Part) -> tuple[str, ...]:
    """The section path of ``part``: its own title is the innermost heading, unless that is said already."""
    if part.title in ("", document.title, *part.section[-1:]):
        return part.section
    return (*part.section, part.title)


def _whole(document: Document) -> Source:
    runs = _runs(document)
    ends = runs.starts + np.diff(runs.places)
    text = document.text
    if document.hidden:
        text = "".join(text[s:e] for s, e in zip(runs.starts.tolist(), ends.tolist(), strict=True))
    sections = [one._replace(start=runs.inside(one.start)) for one in document.sections]
    if not sections or sections[0].start:
        sections.insert(0, Section(0, ()))
    blocks = [(runs.inside(start), runs.inside(end)) for start, end in document.blocks]
    return Source(
        document, document.title, text, runs, tuple(sections), tuple(s.start for s in sections),
        tuple((start, end) for start, end in blocks if start < end),
    )  # fmt: skip


def _runs(document: Document) -> Runs:
    found, last = [], 0
    for start, end in [*document.hidden, (len(document.text),) * 2]:
        if start > last:
            found.append((last, start))
        last = max(last, end)
    starts, ends = zip(*found or [(0, 0)], strict=True)
    lengths = np.array(ends, np.int64) - np.array(starts, np.int64)
    return Runs(np.array(starts, np.int64), np.concatenate([[0], np.cumsum(lengths)]))


def characters(document: Document, passages: Sequence[Passage]) -> tuple[int, int]:
    """How many characters ``document`` has, and ``passages`` of it; blanks and hidden parts do not count."""
    pieces, last = [], 0
    for start, end in document.hidden:
        pieces += [document.text[last:start], " " * (end - max(start, last))]
        last = max(end, last)
    text = "".join([*pieces, document.text[last:]])
    return visible_characters(text), visible_characters(text, [(p.start, p.end) for p in passages])


def visible_characters(text: str, spans: Sequence[tuple[int, int]] | None = None) -> int:
    """How many characters of ``text`` are not blank; of those in one of ``spans`` at least, if given.

    ``spans`` ascend by their starts, and may overlap.
    """
    if spans is None:
        return sum(map(len, text.split()))
    found = done = 0
    for start, end in spans:
        found += sum(map(len, text[max(start, done) : end].split()))
        done = max(done, end)
    return found
