"""The sentence around a part of a text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from lurcher.text import sentences


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Start and end, in code points, of the sentence of ``text`` that holds ``text[start:end]``.

    Of several sentences where that reaches over their ends. Blanks between sentences belong to none.
    """
    spans = sentences(text)
    starts = [first for first, _ in spans]
    before = bisect_right(starts, start) - 1  # the last sentence that starts at `start` or before
    first = spans[before][0] if before >= 0 and spans[before][1] > start else start
    behind = bisect_left(starts, max(end, start + 1)) - 1  # the last one that starts before `end`
    return first, max(end, spans[behind][1]) if behind >= 0 else end
