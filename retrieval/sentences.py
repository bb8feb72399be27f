"""The sentence around a part of a text."""

from __future__ import annotations

import re

# A line; a stop of a script that writes no blank after it; or one that a blank follows.
_STOP = re.compile(r"\n|[。！？।؟]+[」』”’)\]]*|[.!?…]+[\"'”’)\]]*(?=\s)")
_INITIAL = re.compile(r"\b[^\W\d_]$")


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Start and end, in code points, of the sentence of ``text`` that holds ``text[start:end]``.

    Of several sentences where that reaches over their ends. No sentence ends behind an initial, nor where
    a small letter goes on.
    """
    first, last = 0, len(text)
    for stop in _STOP.finditer(text):
        if start < stop.end() < end or not _ends(text, stop):
            continue
        if stop.end() <= start:
            first = stop.end()
        else:
            last = stop.end()
            break
    while first < start and text[first].isspace():
        first += 1
    while last > end and text[last - 1].isspace():
        last -= 1
    return first, last


def _ends(text: str, stop: re.Match[str]) -> bool:
    """Whether a sentence ends at ``stop``."""
    if stop[0][0] != ".":
        return True
    if len(stop[0]) == 1 and _INITIAL.search(text, max(0, stop.start() - 2), stop.start()):
        return False
    follows = stop.end()
    while follows < len(text) and text[follows].isspace():
        follows += 1
    return follows == len(text) or not text[follows].islower()
