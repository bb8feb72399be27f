"""Where in a passage something stands: in its title or its text, from one code point to another."""

from __future__ import annotations

from typing import Literal

from lurcher.bundle.passages import Passage

Part = Literal["title", "text"]
# First code point, and the one after the last.
Place = tuple[int, int]


def in_passage(passage: Passage, span: Place) -> tuple[Part, Place] | None:
    """In which part of ``passage`` a ``span`` of its content lies, and where there; None if in neither.

    Of one that reaches over the blank between title and text, it is the part with more of it.
    """
    whole = f"{passage.title} {passage.text}"
    stripped = len(whole) - len(whole.lstrip())
    start, end = span[0] + stripped, span[1] + stripped
    title = (start, min(end, len(passage.title)))
    before = len(passage.title) + 1
    text = (max(start - before, 0), end - before)
    inside: list[tuple[Part, Place]] = [("text", text), ("title", title)]
    part, place = max(inside, key=lambda one: one[1][1] - one[1][0])
    return (part, place) if place[0] < place[1] else None
