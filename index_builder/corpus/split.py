"""Long texts into overlapping passages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lurcher.text import sentence_ends

# Characters a word that the window stands for. English takes about six with its space, so only
# unusual text (tables of hashes, scripts without spaces) meets this limit before the word count.
CHARACTERS = 8


class _Word(NamedTuple):
    start: int
    end: int
    ends_sentence: bool


def split(text: str, window: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Start and end of each passage, in code points, in order.

    A passage has at most ``window`` words and ``CHARACTERS * window`` characters; it shares at most
    ``overlap`` words and ``CHARACTERS * overlap`` characters with the one before. It ends at the
    last end of a sentence or paragraph in its last quarter if there is one. Only a word too long
    for a passage of its own is ever cut.
    """
    longest = CHARACTERS * window
    words = _words(text, longest)
    upcoming = next(words, None)
    held: list[_Word] = []  # the words from the passage's start on
    shared = 0  # how many of them the passage before has too
    while upcoming is not None:
        while upcoming and len(held) < window and _length(held, upcoming) <= longest:
            held.append(upcoming)
            upcoming = next(words, None)
        if upcoming is None:
            yield held[0].start, held[-1].end
            return
        cut = _cut(text, [*held, upcoming], shared)
        yield held[0].start, held[cut - 1].end
        # The next passage has to have room for a word that this one does not have.
        new = held[cut] if cut < len(held) else upcoming
        start = max(1, cut - overlap)
        while start < cut and (
            held[cut - 1].end - held[start].start > CHARACTERS * overlap
            or new.end - held[start].start > longest
        ):
            start += 1
        held, shared = held[start:], cut - start


def _words(text: str, longest: int) -> Iterator[_Word]:
    """The words of ``text``; one of more than ``longest`` characters is cut into several."""
    ends = sentence_ends(text)
    upcoming = next(ends, None)
    for match in re.finditer(rf"\S{{1,{longest}}}", text):
        while upcoming is not None and upcoming < match.end():
            upcoming = next(ends, None)
        yield _Word(match.start(), match.end(), upcoming == match.end())


def _length(held: list[_Word], word: _Word) -> int:
    return word.end - (held[0] if held else word).start


def _cut(text: str, words: list[_Word], shared: int) -> int:
    """How many of ``words`` the passage takes; the last of them is already one too many."""
    full = len(words) - 1
    for count in range(full, max(shared, full - full // 4), -1):
        last, following = words[count - 1], words[count]
        if last.ends_sentence or text.count("\n", last.end, following.start) > 1:
            return count
    return full
