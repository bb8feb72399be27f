"""Long texts into overlapping passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Characters a word that the window stands for. English takes about six with its space, so only
# unusual text (tables of hashes, scripts without spaces) meets this limit before the word count.
CHARACTERS = 8

_SENTENCE_END = re.compile(r"[.!?…。！？]['\"”’)\]»]*\Z")

_Span = tuple[int, int]


def split(text: str, window: int, overlap: int) -> Iterator[_Span]:
    """Start and end of each passage, in code points, in order.

    A passage has at most ``window`` words and ``CHARACTERS * window`` characters; it shares at most
    ``overlap`` words and ``CHARACTERS * overlap`` characters with the one before. It ends at the
    last end of a sentence or paragraph in its last quarter if there is one. Only a word too long
    for a passage of its own is ever cut.
    """
    longest = CHARACTERS * window
    words = (match.span() for match in re.finditer(rf"\S{{1,{longest}}}", text))
    upcoming = next(words, None)
    held: list[_Span] = []  # the words from the passage's start on
    shared = 0  # how many of them the passage before has too
    while upcoming is not None:
        while upcoming and len(held) < window and _length(held, upcoming) <= longest:
            held.append(upcoming)
            upcoming = next(words, None)
        if upcoming is None:
            yield held[0][0], held[-1][1]
            return
        cut = _cut(text, [*held, upcoming], shared)
        yield held[0][0], held[cut - 1][1]
        # The next passage has to have room for a word that this one does not have.
        new = held[cut] if cut < len(held) else upcoming
        start = max(1, cut - overlap)
        while start < cut and (
            held[cut - 1][1] - held[start][0] > CHARACTERS * overlap
            or new[1] - held[start][0] > longest
        ):
            start += 1
        held, shared = held[start:], cut - start


def _length(held: list[_Span], word: _Span) -> int:
    return word[1] - (held[0] if held else word)[0]


def _cut(text: str, words: list[_Span], shared: int) -> int:
    """How many of ``words`` the passage takes; the last of them is already one too many."""
    full = len(words) - 1
    for count in range(full, max(shared, full - full // 4), -1):
        (start, end), (following, _) = words[count - 1], words[count]
        # A sentence's end is a mark and a few closing quotes: the word's tail tells.
        tail = text[max(start, end - 8) : end]
        if text.count("\n", end, following) > 1 or _SENTENCE_END.search(tail):
            return count
    return full
